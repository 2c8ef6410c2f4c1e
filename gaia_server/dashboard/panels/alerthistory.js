// The history of alerts, newest first.

import * as api from "../api.js";
import { empty, h, mark, pick, section, select } from "../dom.js";
import { duration, share, when } from "../format.js";
import { pagedList } from "../tables.js";
import { SEVERITIES } from "./alertruleform.js";

// The value of a filter, its name, and the parameters of the API.
const STATES = [
  ["", "Every state", {}],
  ["firing", "Firing", { state: "firing", acknowledged: false }],
  ["acknowledged", "Acknowledged", { state: "firing", acknowledged: true }],
  ["resolved", "Resolved", { state: "resolved" }],
];

// acknowledge(alert) -> a button; turned() is called after each turn to a page or filter.
export function alertHistory({ guard, acknowledge, turned }) {
  let page = 1;
  const filters = {
    state: select("State of alert", STATES, "", () => list.turn(0)),
    severity: select("Severity", [["", "Every severity"], ...SEVERITIES.map((name) => [name, name])], "", () => list.turn(0)),
  };
  const values = () => Object.fromEntries(Object.entries(filters).map(([name, { value }]) => [name, value]));
  let undelivered = false;  // whether a notification is still to be sent
  const list = pagedList({
    label: "History", columns: columns(acknowledge), guard, load,
    nothing: () => (Object.values(values()).some(Boolean) ? empty("No alerts", "match this filter") : empty("No alert has fired", "One appears here within a second.")),
    turned: (to) => { page = to; turned(); },
  });

  async function load(part) {
    const { state, severity } = values();
    const found = await api.get("/alerts", { ...part, ...STATES.find(([name]) => name === state)[2], severity });
    undelivered = found.items.some((alert) => alert.notification === "pending");
    return found;
  }

  function restore({ state = "", severity = "", page: wanted }) {
    pick(filters.state, state);
    pick(filters.severity, severity);
    page = wanted;
    list.open(page);
  }
  return {
    element: section("History", Object.values(filters), list.element),
    refresh: list.refresh,
    restore,
    state: () => ({ ...values(), page }),
    get undelivered() { return undelivered; },
  };
}

const URGENCY = { critical: "bad", warning: "warn", info: "plain" };
export const severity = ({ severity: name }) => mark(name, URGENCY[name]);

export function stateOf(alert) {
  if (alert.state === "resolved") return mark("Resolved", "good");
  return alert.acknowledged_at ? mark("Acknowledged", "warn") : mark("Firing", "bad");
}

const acknowledged = (alert) => alert.acknowledged_at && h("div", { class: "muted" }, "by ", h("bdi", {}, alert.acknowledged_by), ", ", when(alert.acknowledged_at));

// The columns of alerts, now or past.
export const common = [
  { name: "Alert", cell: (alert) => h("bdi", {}, alert.name) },
  { name: "State", kind: "prose", cell: (alert) => [stateOf(alert), acknowledged(alert)] },
  { name: "What happened", kind: "prose", cell: (alert) => alert.says },
  { name: "Severity", kind: "limit", cell: severity },
  { name: "Value", kind: "number", cell: (alert) => share(alert.value, alert.threshold) },
];

function notified({ notification, notification_failure: failure }) {
  const state = { sent: () => mark("Sent", "good"), failed: () => mark("Not delivered", "bad"), pending: () => mark(failure ? "Retrying" : "To be sent", "warn") }[notification];
  return state ? [state(), failure && h("div", { class: "muted" }, failure)] : "–";
}

const columns = (acknowledge) => [
  ...common,
  { name: "Fired", kind: "number", cell: (alert) => when(alert.fired_at) },
  { name: "Lasted", kind: "number", cell: (alert) => (alert.resolved_at ? duration((Date.parse(alert.resolved_at) - Date.parse(alert.fired_at)) / 1000) : "still firing") },
  { name: "Notified", kind: "prose", cell: notified },
  { name: "Actions", kind: "actions", cell: (alert) => (alert.state === "firing" && !alert.acknowledged_at ? acknowledge(alert) : null) },
];

// Alerts of all server processes: the firing ones, the watched rules with their values, and the history.

import * as api from "../api.js";
import { empty, h, mark, meter, section } from "../dom.js";
import { duration, share, when } from "../format.js";
import { pagedList, table } from "../tables.js";

export function alerts({ root, live, guard, visible }) {
  const firing = h("div", {}, empty("Waiting for the live connection", "It reports firing alerts."));
  const watched = h("div");
  const history = pagedList({
    label: "History", columns: past, guard,
    load: (page) => api.get("/alerts", page),
    nothing: () => empty("No alert has fired", "One appears here within a second."),
  });
  const firstStats = new Promise((resolve) => { live.addEventListener("stats", resolve, { once: true }); });
  root.append(section("Firing now", null, firing), section("Watched", null, watched), section("History", null, history.element));

  live.addEventListener("stats", ({ detail: { data } }) => {
    fires(data.alerts.firing);
    watched.replaceChildren(table("Watched", rules, data.alerts.watched).element);
  });
  live.addEventListener("alert", ({ detail: { data } }) => {
    fires(data.state === "firing" ? [data] : []);
    if (visible()) guard(history.refresh);
  });

  function fires(rows) {
    firing.replaceChildren(rows.length ? table("Firing now", now, rows).element : empty("All quiet", "No alert is firing."));
  }
  return { refresh: () => Promise.all([firstStats, history.refresh()]) };
}

const rules = [
  { name: "Alert", cell: (rule) => rule.name },
  { name: "Fires when", kind: "prose", cell: (rule) => rule.says },
  { name: "Severity", cell: (rule) => rule.severity },
  { name: "Now", kind: "used", cell: (rule) => [
    meter(rule.value, rule.threshold, share(rule.value, rule.threshold)), h("span", {}, share(rule.value, rule.threshold))] },
];

const common = [
  { name: "State", cell: (alert) => (alert.state === "firing" ? mark("Firing", "bad") : mark("Resolved", "good")) },
  { name: "Alert", kind: "prose", cell: (alert) => alert.name },
  { name: "What happened", kind: "prose", cell: (alert) => alert.says },
  { name: "Severity", cell: (alert) => alert.severity },
  { name: "Value", kind: "number", cell: (alert) => share(alert.value, alert.threshold) },
];
const now = [...common, { name: "Since", kind: "number", cell: (alert) => when(alert.since) }];
const past = [
  ...common,
  { name: "Fired", kind: "number", cell: (alert) => when(alert.fired_at) },
  { name: "Lasted", kind: "number", cell: (alert) => (alert.resolved_at ? duration((Date.parse(alert.resolved_at) - Date.parse(alert.fired_at)) / 1000) : "still firing") },
];

// Violations: denied requests, newest first. A denial refreshes the first page, unless it is paused; else a button is shown.

import * as api from "../api.js";
import { pageOf } from "../address.js";
import { download } from "../csv.js";
import { choices, empty, h, mono, pick, section, select } from "../dom.js";
import { keyFilter } from "../filters.js";
import { limit, moment, number, when } from "../format.js";
import { pagedList } from "../tables.js";

const AT_MOST_EVERY_MS = 2_000;
const SPANS = [["", "Any time"], ["900", "Last 15 minutes"], ["3600", "Last hour"], ["86400", "Last day"], ["range", "From – to"]];  // seconds
const RANGE = "range";

export function violations({ root, live, guard, visible, record }) {
  let due = null;
  let wanted = "";  // the rule of the address; its choices are loaded
  const filter = keyFilter(() => list.turn(0));
  const span = select("Time", SPANS, "", () => { showRange(); list.turn(0); });
  const [from, to] = ["From", "To"].map((label) => h("input", { type: "datetime-local", "aria-label": label, step: 1, hidden: true, onchange: () => list.turn(0) }));
  const pause = h("button", { type: "button", "aria-pressed": "false", onclick: togglePause }, "Pause");
  const rule = select("Rule", [["", "Every rule"]], "", () => list.turn(0));
  const more = h("button", { type: "button", class: "more", hidden: true, onclick: newest }, "Show newer violations");
  const save = h("button", { type: "button", onclick: exportFound }, "Export CSV");
  const list = pagedList({
    label: "Denied requests", columns, guard,
    load: (page) => api.get("/violations", { ...page, ...parameters() }),
    nothing: () => empty("No denied requests", filter.summary() || rule.value || span.value ? "match this filter" : "Each key, rule and second with denials becomes one line here."),
    turned: (page) => record({ time: span.value, ...(span.value === RANGE ? { from: from.value, to: to.value } : {}), rule: rule.value, ...filter.state(), page }),
  });
  root.append(section("Denied requests", [span, from, to, rule, ...filter.element, pause, save], more, list.element));

  live.addEventListener("violation", () => {
    due ??= setTimeout(() => { due = null; onViolation(); }, AT_MOST_EVERY_MS);
  });
  function onViolation() {
    if (!visible()) return;
    more.hidden = list.first && !paused();
    if (more.hidden) guard(list.refresh);
  }
  function togglePause() {
    pause.setAttribute("aria-pressed", !paused());
    if (!paused()) newest();
  }
  const paused = () => pause.getAttribute("aria-pressed") === "true";
  function newest() {
    more.hidden = true;
    list.turn(0);
  }
  const parameters = () => ({ ...filter.parameters(), rule_id: rule.value, ...range() });

  // Up to now, so that no row of a later page moves meanwhile.
  async function exportFound() {
    const wanted = { ...parameters(), until: range().until || new Date().toISOString() };
    save.disabled = true;
    await guard.now(() => download("violations.csv", exported, (page) => api.get("/violations", { ...page, ...wanted })));
    save.disabled = false;
  }

  async function refresh() {
    const { items } = await api.get("/config", { limit: 200 });
    rule.replaceChildren(...choices([["", "Every rule"], ...items.map((one) => [String(one.id), one.rule_name])], rule.value || wanted));
    wanted = "";
    await list.refresh();
  }

  const showRange = () => [from, to].forEach((one) => { one.hidden = span.value !== RANGE; });
  const range = () => (span.value === RANGE ? { since: moment(from.value), until: moment(to.value) } : { since: since(span.value) });

  function restore({ time = "", from: first = "", to: last = "", rule: id = "", page, ...key }) {
    pick(span, time);
    [from.value, to.value] = [first, last];
    showRange();
    pick(rule, wanted = id);
    filter.restore(key);
    list.open(pageOf(page));
  }
  return { refresh, restore };
}

const since = (seconds) => (seconds ? new Date(Date.now() - 1000 * Number(seconds)).toISOString() : "");

const columns = [
  { name: "When", cell: (row) => when(row.last_at) },
  { name: "Key", kind: "key", cell: (row) => mono(row.key) },
  { name: "Rule", kind: "named", cell: (row) => row.rule_name },
  { name: "Limit", kind: "limit", cell: limit },
  { name: "Resource", cell: (row) => row.resource_type },
  { name: "Denied", kind: "number", cell: (row) => number(row.hits) },
];

const exported = {
  first_at: (row) => row.occurred_at, last_at: (row) => row.last_at, key: (row) => row.key, rule: (row) => row.rule_name,
  limit: (row) => row.limit_value, limit_type: (row) => row.limit_type, resource: (row) => row.resource_type, denied: (row) => row.hits,
};

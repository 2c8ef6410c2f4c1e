// Violations: denied requests, newest first, or summed up by client. A denial refreshes the first page, unless it is paused;
// else a button is shown.

import * as api from "../api.js";
import { fragment, pageOf } from "../address.js";
import { download } from "../csv.js";
import { choices, empty, h, link, mono, pick, section, select } from "../dom.js";
import { keyFilter } from "../filters.js";
import { limit, number, when } from "../format.js";
import { pagedList } from "../tables.js";
import { timeRange } from "../timerange.js";

const AT_MOST_EVERY_MS = 2_000;
const SPANS = [["", "Any time"], ["900", "Last 15 minutes"], ["3600", "Last hour"], ["86400", "Last day"]];  // seconds
const CLIENT = "client";

export function violations({ root, live, guard, visible, record }) {
  let due = null;
  let wanted = "";  // the rule of the address; its choices are loaded
  const filter = keyFilter(filtered);
  const time = timeRange(SPANS, "", filtered);
  const group = select("Group", [["", "Each second"], [CLIENT, "By client"]], "", () => { list().open(1); showList(); filtered(); });
  const pause = h("button", { type: "button", "aria-pressed": "false", onclick: togglePause }, "Pause");
  const rule = select("Rule", [["", "Every rule"]], "", filtered);
  const more = h("button", { type: "button", class: "more", hidden: true, onclick: newest }, "Show newer violations");
  const save = h("button", { type: "button", onclick: exportFound }, "Export CSV");
  const state = () => ({ ...time.state(), group: group.value, rule: rule.value, ...filter.state() });
  const ofClient = (key) => fragment("violations", { ...state(), group: "", kind: "", key });
  const lists = Object.fromEntries(Object.entries(GROUPS).map(([name, { label, path, columns, hint }]) => [name, pagedList({
    label, columns: columns(ofClient), guard,
    load: (page) => api.get(path, { ...page, ...parameters() }),
    nothing: () => empty("No denied requests", filter.summary() || rule.value || time.span !== "" ? "match this filter" : hint),
    turned: (page, sort) => record({ ...state(), sort, page }),
  })]));
  const list = () => lists[group.value];
  const showList = () => Object.entries(lists).forEach(([name, { element }]) => { element.hidden = name !== group.value; });
  root.append(section("Denied requests", [...time.elements, rule, ...filter.element, group, pause, save], more, ...Object.values(lists).map((one) => one.element)));
  showList();

  live.addEventListener("violation", () => {
    due ??= setTimeout(() => { due = null; onViolation(); }, AT_MOST_EVERY_MS);
  });
  function onViolation() {
    if (!visible()) return;
    more.hidden = list().first && !paused();
    if (more.hidden) guard(list().refresh);
  }
  function togglePause() {
    pause.setAttribute("aria-pressed", !paused());
    if (!paused()) newest();
  }
  const paused = () => pause.getAttribute("aria-pressed") === "true";
  function newest() {
    more.hidden = true;
    list().turn(0);
  }
  function filtered() {
    list().turn(0);
  }
  const parameters = () => ({ ...filter.parameters(), rule_id: rule.value, ...range() });

  // Up to now, so that no row of a later page moves meanwhile.
  async function exportFound() {
    const wanted = { ...parameters(), until: range().until || new Date().toISOString() };
    save.disabled = true;
    const { file, path, exported } = GROUPS[group.value];
    await guard.now(() => download(file, exported, (page) => api.get(path, { ...page, sort: list().sort, ...wanted })));
    save.disabled = false;
  }

  async function refresh() {
    const chosen = rule.value || wanted;
    rule.replaceChildren(...choices([["", "Every rule"], ...(await named(chosen))], chosen));
    wanted = "";
    await list().refresh();
  }

  const range = () => (time.span === null ? { since: time.from, until: time.to } : { since: since(time.span) });

  function restore({ group: grouped = "", rule: id = "", sort, page, ...given }) {
    time.restore(given);
    pick(group, grouped);
    showList();
    pick(rule, wanted = id);
    filter.restore(given);
    list().open(pageOf(page), sort);
  }
  return { refresh, restore };
}

const since = (seconds) => (seconds ? new Date(Date.now() - 1000 * Number(seconds)).toISOString() : "");

// The choices of a rule: the first ones, and the chosen one, which may be none of these.
async function named(chosen) {
  const { items } = await api.get("/config", { limit: 200 });
  const found = items.map((one) => [String(one.id), one.rule_name]);
  return !chosen || found.some(([id]) => id === chosen) ? found : [...found, [chosen, `Rule ${chosen}`]];
}

const columns = () => [
  { name: "When", sort: "occurred_at", cell: (row) => when(row.last_at) },
  { name: "Key", kind: "key", sort: "key", cell: (row) => mono(row.key) },
  { name: "Rule", kind: "named", cell: (row) => row.rule_name },
  { name: "Limit", kind: "limit", cell: limit },
  { name: "Resource", cell: (row) => row.resource_type },
  { name: "Denied", kind: "number", sort: "hits", cell: (row) => number(row.hits) },
];

const clients = (address) => [
  { name: "Key", kind: "key", sort: "key", cell: (row) => link(address(row.key), mono(row.key)) },
  { name: "Denied", kind: "number", sort: "hits", cell: (row) => number(row.hits) },
  { name: "Rules", kind: "number", sort: "rules", cell: (row) => number(row.rules) },
  { name: "First", kind: "number", cell: (row) => when(row.first_at) },
  { name: "Last", kind: "number", sort: "last_at", cell: (row) => when(row.last_at) },
];

const exported = {
  first_at: (row) => row.occurred_at, last_at: (row) => row.last_at, key: (row) => row.key, rule: (row) => row.rule_name,
  limit: (row) => row.limit_value, limit_type: (row) => row.limit_type, resource: (row) => row.resource_type, denied: (row) => row.hits,
};

const exportedClients = {
  key: (row) => row.key, denied: (row) => row.hits, rules: (row) => row.rules, first_at: (row) => row.first_at, last_at: (row) => row.last_at,
};

const GROUPS = {
  "": { label: "Denied requests", path: "/violations", columns, exported, file: "violations.csv", hint: "Each key, rule and second with denials becomes one line here." },
  [CLIENT]: { label: "Denied clients", path: "/violations/clients", columns: clients, exported: exportedClients, file: "denied-clients.csv", hint: "Each client with denials becomes one line here." },
};

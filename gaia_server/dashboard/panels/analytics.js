// Analytics: decisions over time, by rule, client, resource and kind of client.

import * as api from "../api.js";
import { chart, newest, total } from "../charts.js";
import { choices, empty, figure, figures, h, mono, pick, section, select } from "../dom.js";
import { decimal, number, percent, when } from "../format.js";
import { perStep } from "../series.js";
import { table } from "../tables.js";

// minutes -> [label, ...periods to group by, the default first]
const SPANS = {
  15: ["Last 15 minutes", "minute"], 60: ["Last hour", "minute"], 1440: ["Last day", "hour", "minute"],
  10080: ["Last week", "hour", "day"], 43200: ["Last 30 days", "day", "hour"],
};
const STEPS = { minute: 1, hour: 60, day: 1440 };  // minutes
const EVERY_MS = 10_000;

export function analytics({ root, guard, visible, record }) {
  const span = select("Time", Object.entries(SPANS).map(([minutes, [name]]) => [minutes, name]), "60", () => { updatePeriods(); chosen(); });
  const per = select("Summed up", [], "", chosen);
  const sums = { denial: figure("Denial rate"), denied: figure("Denied"), allowed: figure("Allowed"), rate: figure("Decisions per minute") };
  const decisions = chart("Decisions", [
    { name: "Allowed", colour: "allowed", format: number, sum: total }, { name: "Denied", colour: "denied", format: number, sum: total },
  ], { stacked: true });
  const load = chart("Processor use in percent", [{ name: "Processor, %", colour: "accent", format: decimal, sum: newest }]);
  const memory = chart("Memory in MB", [{ name: "Memory, MB", colour: "accent", format: decimal, sum: newest }]);
  const lists = { rules: h("div"), keys: h("div"), resources: h("div"), scopes: h("div") };
  root.append(
    figures(sums),
    section("Decisions", [span, per], decisions.element),
    h("div", { class: "columns" }, section("Rules that denied most", null, lists.rules), section("Clients denied most", null, lists.keys)),
    h("div", { class: "columns" }, section("By resource", null, lists.resources), section("By kind of client", null, lists.scopes)),
    h("div", { class: "columns" }, section("Processor", null, load.element), section("Memory", null, memory.element)));
  updatePeriods();
  setInterval(() => { if (visible()) guard(refresh); }, EVERY_MS);

  function updatePeriods() {
    per.replaceChildren(...choices(SPANS[span.value].slice(1).map((name) => [name, `per ${name}`])));
  }

  function chosen() {
    record({ minutes: span.value, per: per.value });
    return guard(refresh);
  }

  function restore({ minutes = "60", per: period = "" }) {
    span.value = minutes in SPANS ? minutes : "60";
    updatePeriods();
    pick(per, period);
  }

  async function refresh() {
    const [minutes, period] = [Number(span.value), per.value];
    const found = await api.get("/analytics", { minutes, per: period });
    if (minutes !== Number(span.value) || period !== per.value) return;  // the selection changed meanwhile
    showTotals(sums, found.totals, minutes);
    decisions.show(...perStep(found.decisions, minutes, ["admitted", "denied"], STEPS[period]));
    const times = found.load.map((row) => Date.parse(row.start) / 1000);
    load.show(times, found.load.map((row) => row.cpu_percent));
    memory.show(times, found.load.map((row) => row.memory_bytes / 1e6));
    fill(lists.rules, "Rules that denied most", found.by_rule, [
      { name: "Rule", kind: "named", cell: (row) => row.rule_name }, { name: "Keys", kind: "number", cell: (row) => number(row.keys) },
      { name: "Last", kind: "number", cell: (row) => when(row.last_at) }, hits, { name: "Share", kind: "number", cell: (row) => percent(row.share) },
    ]);
    fill(lists.keys, "Clients denied most", found.top_keys, [{ name: "Key", kind: "key", cell: (row) => mono(row.key) }, { name: "Last", kind: "number", cell: (row) => when(row.last_at) }, hits]);
    fill(lists.resources, "By resource", found.by_resource, [{ name: "Resource", cell: (row) => row.resource_type }, ...counts]);
    fill(lists.scopes, "By kind of client", found.by_scope, [{ name: "Kind", cell: (row) => row.scope }, ...counts]);
  }
  return { refresh, restore };
}

function showTotals(sums, { admitted, denied, denied_ratio: ratio }, minutes) {
  sums.denial.set(percent(ratio), ratio == null ? "no decisions" : "", "");
  sums.denied.set(number(denied), "requests");
  sums.allowed.set(number(admitted), "requests");
  sums.rate.set(decimal((admitted + denied) / minutes), "on average");
}

const hits = { name: "Denied", kind: "number", cell: (row) => number(row.hits) };
const counts = [
  { name: "Allowed", kind: "number", cell: (row) => number(row.admitted) },
  { name: "Denied", kind: "number", cell: (row) => number(row.denied) },
  { name: "Rate", kind: "number", cell: (row) => percent(row.denied / (row.admitted + row.denied || 1)) },
];

function fill(place, label, rows, columns) {
  place.replaceChildren(rows.length ? table(label, columns, rows).element : empty("No data", "in this time span"));
}

// Analytics: what was decided over time, by what, and against whom.

import * as api from "../api.js";
import { chart, newest, total } from "../charts.js";
import { empty, figure, figures, h, mono, section, select } from "../dom.js";
import { decimal, number, percent, when } from "../format.js";
import { perStep } from "../series.js";
import { table } from "../tables.js";

// minutes -> [what it is called, minutes per bar]
const SPANS = { 15: ["Last 15 minutes", 1], 60: ["Last hour", 1], 1440: ["Last day", 15], 10080: ["Last week", 120] };
const EVERY_MS = 10_000;

export function analytics({ root, guard, visible }) {
  const span = select("Time", Object.entries(SPANS).map(([minutes, [name]]) => [minutes, name]), "60", () => guard(refresh));
  const sums = { denial: figure("Denial rate"), denied: figure("Denied"), allowed: figure("Allowed"), rate: figure("Decisions per minute") };
  const decisions = chart("Decisions", [
    { name: "Allowed", colour: "allowed", format: number, sum: total }, { name: "Denied", colour: "denied", format: number, sum: total },
  ], { stacked: true });
  const load = chart("Processor use in percent", [{ name: "Processor, %", colour: "accent", format: decimal, sum: newest }]);
  const memory = chart("Memory in MB", [{ name: "Memory, MB", colour: "accent", format: decimal, sum: newest }]);
  const lists = { rules: h("div"), keys: h("div"), resources: h("div"), scopes: h("div") };
  root.append(
    figures(sums),
    section("Decisions", span, decisions.element),
    h("div", { class: "columns" }, section("Rules that denied most", null, lists.rules), section("Clients denied most", null, lists.keys)),
    h("div", { class: "columns" }, section("By resource", null, lists.resources), section("By kind of client", null, lists.scopes)),
    h("div", { class: "columns" }, section("Processor", null, load.element), section("Memory", null, memory.element)));
  setInterval(() => { if (visible()) guard(refresh); }, EVERY_MS);

  async function refresh() {
    const minutes = Number(span.value);
    const found = await api.get("/analytics", { minutes });
    if (minutes !== Number(span.value)) return;  // another span was chosen meanwhile
    tell(sums, found.totals, minutes);
    decisions.show(...perStep(found.decisions, minutes, ["admitted", "denied"], SPANS[minutes][1]));
    const times = found.load.map((row) => Date.parse(row.minute) / 1000);
    load.show(times, found.load.map((row) => row.cpu_percent));
    memory.show(times, found.load.map((row) => row.memory_bytes / 1e6));
    fill(lists.rules, "Rules that denied most", found.top_rules, [{ name: "Rule", cell: (row) => row.rule_name }, hits]);
    fill(lists.keys, "Clients denied most", found.top_keys, [{ name: "Key", cell: (row) => mono(row.key) }, { name: "Last", kind: "number", cell: (row) => when(row.last_at) }, hits]);
    fill(lists.resources, "By resource", found.by_resource, [{ name: "Resource", cell: (row) => row.resource_type }, ...counts]);
    fill(lists.scopes, "By kind of client", found.by_scope, [{ name: "Kind", cell: (row) => row.scope }, ...counts]);
  }
  return { refresh };
}

function tell(sums, { admitted, denied, admitted_ratio: ratio }, minutes) {
  sums.denial.set(percent(ratio == null ? null : 1 - ratio), ratio == null ? "nothing was decided" : "", "");
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
  place.replaceChildren(rows.length ? table(label, columns, rows).element : empty("Nothing", "in this time"));
}

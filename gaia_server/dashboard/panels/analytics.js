// Analytics: decisions over time, by rule, client, resource and kind of client.

import * as api from "../api.js";
import { fragment } from "../address.js";
import { chart, newest, total } from "../charts.js";
import { choices, empty, figure, figures, h, link, mono, pick, section, select } from "../dom.js";
import { change, decimal, field, number, percent, when } from "../format.js";
import { before, covering, periods, start, step } from "../period.js";
import { perStep } from "../series.js";
import { table } from "../tables.js";
import { timeRange } from "../timerange.js";

const USUAL = "60";
const SPANS = [["15", "Last 15 minutes"], [USUAL, "Last hour"], ["1440", "Last day"], ["10080", "Last week"], ["43200", "Last 30 days"], ["129600", "Last 90 days"]];  // minutes up to now
const EVERY_MS = 10_000;

export function analytics({ root, guard, visible, record }) {
  const time = timeRange(SPANS, USUAL, () => { updatePeriods(); chosen(); });
  const per = select("Summed up", [], "", chosen);
  const compare = h("button", { type: "button", "aria-pressed": "false", title: "With the same length of time just before", onclick: () => { press(!comparing()); chosen(); } }, "Compare");
  const sums = { denial: figure("Denial rate"), denied: figure("Denied"), allowed: figure("Allowed"), rate: figure("Decisions per minute") };
  const decisions = chart("Decisions", [
    { name: "Allowed", colour: "allowed", format: number, sum: total }, { name: "Denied", colour: "denied", format: number, sum: total },
  ], { stacked: true, zoom });
  const load = chart("Processor use in percent", [{ name: "Processor, %", colour: "accent", format: decimal, sum: newest }]);
  const memory = chart("Memory in MB", [{ name: "Memory, MB", colour: "accent", format: decimal, sum: newest }]);
  const short = h("p", { class: "summary", hidden: true });
  const lists = { rules: h("div"), keys: h("div"), resources: h("div"), scopes: h("div") };
  root.append(
    figures(sums),
    section("Decisions", [...time.elements, per, compare], short, decisions.element),
    h("div", { class: "columns" }, section("Rules that denied most", null, lists.rules), section("Clients denied most", null, lists.keys)),
    h("div", { class: "columns" }, section("By resource", null, lists.resources), section("By kind of client", null, lists.scopes)),
    h("div", { class: "columns" }, section("Processor", null, load.element), section("Memory", null, memory.element)));
  updatePeriods();
  setInterval(() => { if (visible()) guard(refresh); }, EVERY_MS);

  const comparing = () => compare.getAttribute("aria-pressed") === "true";
  const press = (on) => compare.setAttribute("aria-pressed", on);

  // An open start or end of a range is an hour before its end, or now.
  function period() {
    if (time.span !== null) return { minutes: Number(time.span), until: Date.now() };
    const to = time.to ? Date.parse(time.to) : Date.now();
    return covering(Math.min(time.from ? Date.parse(time.from) : to - 3_600_000, to), to);
  }

  function updatePeriods() {
    per.replaceChildren(...choices(periods(period().minutes).map((name) => [name, `per ${name}`])));
  }

  function chosen() {
    record({ ...time.state(), per: per.value, compare: comparing() ? "before" : "" });
    return guard(refresh);
  }

  function zoom(from, to) {
    const whole = covering(from * 1000, to * 1000);
    time.between(start(whole), whole.until + 1);
    updatePeriods();
    chosen();
  }

  function restore({ per: wanted = "", compare: other = "", ...given }) {
    time.restore(given);
    press(other === "before");
    updatePeriods();
    pick(per, wanted);
  }

  // Up to now by the server's clock, unless a range was chosen.
  const get = ({ minutes, until }, open) => api.get("/analytics", { minutes, per: per.value, until: open ? "" : new Date(until).toISOString() });
  const state = () => JSON.stringify([time.state(), per.value, comparing()]);

  async function refresh() {
    const [requested, now, by] = [state(), period(), per.value];
    const [found, past] = await Promise.all([get(now, time.span !== null), comparing() ? get(before(now), false) : null]);
    if (requested !== state()) return;  // the selection changed meanwhile
    showTotals(sums, found.totals, past?.totals, now.minutes);
    showShort(found.oldest, start(past ? before(now) : now));
    decisions.show(...perStep(found.decisions, now.minutes, ["admitted", "denied"], step(by), now.until));
    const times = found.load.map((row) => Date.parse(row.start) / 1000);
    load.show(times, found.load.map((row) => row.cpu_percent));
    memory.show(times, found.load.map((row) => row.memory_bytes / 1e6));
    const denied = { time: "range", from: field(start(now)), to: time.span === null ? field(now.until + 1) : "" };
    const to = (filter, content) => link(fragment("violations", { ...denied, ...filter }), content);
    fill(lists.rules, "Rules that denied most", found.by_rule, [
      { name: "Rule", kind: "named", cell: (row) => to({ rule: row.rule_id }, row.rule_name) }, { name: "Keys", kind: "number", cell: (row) => number(row.keys) },
      { name: "Last", kind: "number", cell: (row) => when(row.last_at) }, hits, { name: "Share", kind: "number", cell: (row) => percent(row.share) },
    ]);
    fill(lists.keys, "Clients denied most", found.top_keys, [{ name: "Key", kind: "key", cell: (row) => to({ key: row.key }, mono(row.key)) }, { name: "Last", kind: "number", cell: (row) => when(row.last_at) }, hits]);
    fill(lists.resources, "By resource", found.by_resource, [{ name: "Resource", cell: (row) => row.resource_type }, ...counts]);
    fill(lists.scopes, "By kind of client", found.by_scope, [{ name: "Kind", cell: (row) => row.scope }, ...counts]);
  }

  // What no statistics exist of is not zero.
  function showShort(oldest, wanted) {
    short.hidden = !oldest || Date.parse(oldest) <= wanted;
    short.replaceChildren(...(short.hidden ? [] : ["There are no statistics before ", when(oldest), "."]));
  }
  return { refresh, restore };
}

function showTotals(sums, { admitted, denied, denied_ratio: ratio }, past, minutes) {
  const than = (value, old) => (past ? `before ${number(old)}${change(value, old)}` : "requests");
  sums.denial.set(percent(ratio), past ? `before ${percent(past.denied_ratio)}` : ratio == null ? "no decisions" : "", "");
  sums.denied.set(number(denied), than(denied, past?.denied));
  sums.allowed.set(number(admitted), than(admitted, past?.admitted));
  const rate = (counted) => decimal((counted.admitted + counted.denied) / minutes);
  sums.rate.set(rate({ admitted, denied }), past ? `before ${rate(past)}` : "on average");
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

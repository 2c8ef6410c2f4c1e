// Alerts: what fires now, how near the others are, and what fired since this server process started.

import { empty, h, mark, meter, section } from "../dom.js";
import { number, when } from "../format.js";
import { table } from "../tables.js";

// The server's alert rules, in its words.
const RULES = [{ name: "violations_per_minute", says: "more than 100 requests were refused within a minute", threshold: 100 }];

export function alerts({ root, live }) {
  const firing = h("div", {}, empty("Waiting for the live connection", "It tells which alerts fire."));
  const past = h("div");
  const watched = h("div");
  let known = { firing: [], past: [] };
  let now = 0;
  const told = new Promise((resolve) => { live.addEventListener("stats", resolve, { once: true }); });
  root.append(
    section("Firing now", null, firing),
    section("Watched", null, watched),
    section("History since this server process started", null, past));

  live.addEventListener("stats", ({ detail: { data } }) => {
    known = data.alerts;
    now = data.violations_last_minute;
    show();
  });
  live.addEventListener("alert", ({ detail: { data } }) => {
    known = { firing: data.state === "firing" ? [data] : [], past: [data, ...known.past] };
    now = data.value;
    show();
  });

  function show() {
    fill(firing, "Firing now", known.firing, empty("All quiet", "No alert is firing."));
    fill(past, "History", known.past, empty("No alert has fired", "One appears here within a second."));
    watched.replaceChildren(table("Watched", [
      { name: "Alert", cell: (rule) => rule.name },
      { name: "Fires when", kind: "prose", cell: (rule) => rule.says },
      { name: "Now", kind: "used", cell: (rule) => [meter(now, rule.threshold, `${number(now)} of ${number(rule.threshold)}`), h("span", {}, `${number(now)} of ${number(rule.threshold)}`)] },
    ], RULES).element);
  }
  return { refresh: () => told };
}

function fill(place, label, rows, nothing) {
  place.replaceChildren(rows.length ? table(label, columns, rows).element : nothing);
}

const columns = [
  { name: "State", cell: (alert) => (alert.state === "firing" ? mark("Firing", "bad") : mark("Resolved", "good")) },
  { name: "Alert", kind: "prose", cell: (alert) => alert.name },
  { name: "What happened", kind: "prose", cell: (alert) => alert.says },
  { name: "Severity", cell: (alert) => alert.severity },
  { name: "Value", kind: "number", cell: (alert) => `${number(alert.value)} of ${number(alert.threshold)}` },
  { name: "Since", kind: "number", cell: (alert) => when(alert.since) },
  { name: "At", kind: "number", cell: (alert) => when(alert.at) },
];

// Users: who is counted, and how much of each limit they have used.

import * as api from "../api.js";
import { empty, h, meter, mono, section } from "../dom.js";
import { limit, number, until } from "../format.js";
import { keyFilter } from "../filters.js";
import { pagedList } from "../tables.js";

const EVERY_MS = 5_000;

export function users({ root, guard, visible }) {
  const filter = keyFilter(() => list.turn(0));
  const list = pagedList({
    label: "Use of each limit", columns, guard,
    load: (page) => api.get("/usage", { ...page, ...filter.parameters() }),
    nothing: () => (filter.says() ? empty("No use counted", filter.says()) : empty("Nobody is counted yet", "A key appears with its first request that a rule applies to.")),
  });
  root.append(section("Use of each limit", filter.element, list.element));
  setInterval(() => { if (visible()) guard(list.refresh); }, EVERY_MS);
  return { refresh: list.refresh };
}

const columns = [
  { name: "Key", cell: (row) => mono(row.key) },
  { name: "Rule", cell: (row) => row.rule_name },
  { name: "Limit", cell: limit },
  { name: "Used", kind: "used", cell: (row) => [
    meter(row.used, row.limit_value, `${number(row.used)} of ${number(row.limit_value)} used`), h("span", {}, number(row.used))] },
  { name: "Left", kind: "number", cell: (row) => number(row.remaining) },
  { name: "Frees up", kind: "number", cell: (row) => (row.used && row.resets_at ? until(row.resets_at) : "–") },
];

// Users: who is nearest to a limit, one user's limits and reputation, and what every key has used.

import * as api from "../api.js";
import { empty, h, mark, meter, mono, section } from "../dom.js";
import { keyFilter } from "../filters.js";
import { limit, number, until } from "../format.js";
import { pagedList } from "../tables.js";
import { makeUserForm } from "./userform.js";

const EVERY_MS = 5_000;
const NEAREST_EVERY_MS = 30_000;  // it looks at everybody

export function users({ root, guard, signIn, visible }) {
  const open = makeUserForm({ signIn, saved: () => guard(refresh) });
  const filter = keyFilter(() => used.turn(0));
  const nearest = pagedList({
    label: "Users by their fullest limit", columns: of(open), guard,
    load: (page) => api.get("/users", page),
    nothing: () => empty("No user is counted yet", "One appears with a request of a user to which a rule for users applies."),
  });
  const used = pagedList({
    label: "Use of each limit", columns, guard,
    load: (page) => api.get("/usage", { ...page, ...filter.parameters() }),
    nothing: () => (filter.says() ? empty("No use counted", filter.says()) : empty("Nobody is counted yet", "A key appears with its first request that a rule applies to.")),
  });
  root.append(
    section("Users by their fullest limit", finder(open), nearest.element),
    section("Use of each limit", filter.element, used.element));
  setInterval(() => { if (visible()) guard(used.refresh); }, EVERY_MS);
  setInterval(() => { if (visible()) guard(nearest.refresh); }, NEAREST_EVERY_MS);

  const refresh = () => Promise.all([nearest.refresh(), used.refresh()]);
  return { refresh };
}

// Opens any user, seen or not.
function finder(open) {
  const name = h("input", { type: "search", "aria-label": "User", placeholder: "user's id", spellcheck: "false", maxlength: 200, autocomplete: "off", required: true });
  return h("form", { class: "finder", onsubmit: (event) => { event.preventDefault(); open(name.value.trim()); } }, name, h("button", {}, "Open user"));
}

const KINDS = { flagged: "bad", standard: "", trusted: "good", vip: "good" };
export const tier = (found) => mark(`${found.tier} · ${number(found.score)}`, KINDS[found.tier]);

const full = { name: "Used", kind: "used", cell: (row) => [
  meter(row.used, row.effective_limit, `${number(row.used)} of ${number(row.effective_limit)} used`), h("span", {}, number(row.used))] };
const frees = { name: "Frees up", kind: "number", cell: (row) => (row.used && row.resets_at ? until(row.resets_at) : "–") };

const of = (open) => [
  { name: "User", cell: (row) => h("button", { type: "button", class: "link mono", "aria-label": `Open ${row.user}`, onclick: () => open(row.user) }, row.user) },
  { name: "Fullest limit", cell: (row) => row.rule_name },
  { name: "Limit", cell: (row) => limit({ ...row, limit_value: row.effective_limit }) },
  full,
  frees,
  { name: "Reputation", cell: tier },
];

const columns = [
  { name: "Key", cell: (row) => mono(row.key) },
  { name: "Rule", cell: (row) => row.rule_name },
  { name: "Limit", cell: (row) => limit({ ...row, limit_value: row.effective_limit }) },
  full,
  { name: "Left", kind: "number", cell: (row) => number(row.remaining) },
  frees,
];

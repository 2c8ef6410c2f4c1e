// Users: users by their most used limit, one user's limits and reputation, and the use of each limit by each key.

import * as api from "../api.js";
import { pageOf } from "../address.js";
import { download } from "../csv.js";
import { empty, h, mark, meter, mono, section } from "../dom.js";
import { keyFilter } from "../filters.js";
import { limit, number, share, until } from "../format.js";
import { pagedList } from "../tables.js";
import { makeUserForm } from "./userform.js";

const EVERY_MS = 5_000;
const NEAREST_EVERY_MS = 30_000;  // its query reads all users

export function users({ root, guard, signIn, visible, record }) {
  const open = makeUserForm({ signIn, saved: () => guard(refresh) });
  const filter = keyFilter(() => used.turn(0));
  const places = { page: 1, sort: "", userpage: 1, usersort: "" };
  const turned = (list) => (page, sort) => {
    Object.assign(places, { [`${list}page`]: page, [`${list}sort`]: sort });
    record({ ...filter.state(), ...places });
  };
  const nearest = pagedList({
    label: "Users by their fullest limit", columns: of(open), guard,
    load: (page) => api.get("/users", page),
    nothing: () => empty("No users yet", "A user appears with the first request that a user rule applies to."),
    turned: turned("user"),
  });
  const used = pagedList({
    label: "Use of each limit", columns, guard,
    load: (page) => api.get("/usage", { ...page, ...filter.parameters() }),
    nothing: () => (filter.summary() ? empty("No use counted", filter.summary()) : empty("No keys yet", "A key appears with its first request that a rule applies to.")),
    turned: turned(""),
  });
  root.append(
    section("Users by their fullest limit", [finder(open), exporter("users.csv", exportedUsers, "/users", () => ({ sort: nearest.sort }))], nearest.element),
    section("Use of each limit", [...filter.element, exporter("usage.csv", exportedUse, "/usage", () => ({ sort: used.sort, ...filter.parameters() }))], used.element));
  setInterval(() => { if (visible()) guard(used.refresh); }, EVERY_MS);
  setInterval(() => { if (visible()) guard(nearest.refresh); }, NEAREST_EVERY_MS);

  function exporter(file, exported, path, chosen) {
    const save = (parameters) => download(file, exported, (page) => api.get(path, { ...page, ...parameters }));
    return h("button", { type: "button", onclick: () => guard.now(() => save(chosen())) }, "Export CSV");
  }

  const refresh = () => Promise.all([nearest.refresh(), used.refresh()]);

  function restore({ page, sort = "", userpage, usersort = "", ...key }) {
    Object.assign(places, { page: pageOf(page), sort, userpage: pageOf(userpage), usersort });
    filter.restore(key);
    used.open(places.page, sort);
    nearest.open(places.userpage, usersort);
  }
  return { refresh, restore };
}

// Opens any user, with or without requests.
function finder(open) {
  const name = h("input", { type: "search", "aria-label": "User", placeholder: "user's id", spellcheck: "false", maxlength: 200, autocomplete: "off", required: true });
  return h("form", { class: "finder", onsubmit: (event) => { event.preventDefault(); open(name.value.trim()); } }, name, h("button", {}, "Open user"));
}

const KINDS = { flagged: "bad", standard: "", trusted: "good", vip: "good" };
export const tier = (found) => mark(`${found.tier} · ${number(found.score)}`, KINDS[found.tier]);

const full = { name: "Used", sort: "share", kind: "used", cell: (row) => [
  meter(row.used, row.effective_limit, `${share(row.used, row.effective_limit)} used`), h("span", {}, number(row.used))] };
const frees = { name: "Frees up", kind: "number", cell: (row) => (row.used && row.resets_at ? until(row.resets_at) : "–") };

const of = (open) => [
  { name: "User", sort: "key", cell: (row) => h("button", { type: "button", class: "link mono", "aria-label": `Open ${row.user}`, onclick: () => open(row.user) }, row.user) },
  { name: "Fullest limit", cell: (row) => row.rule_name },
  { name: "Limit", kind: "limit", cell: (row) => limit({ ...row, limit_value: row.effective_limit }) },
  full,
  frees,
  { name: "Reputation", kind: "tier", cell: tier },
];

const columns = [
  { name: "Key", kind: "key", sort: "key", cell: (row) => mono(row.key) },
  { name: "Rule", kind: "named", sort: "rule_id", cell: (row) => row.rule_name },
  { name: "Limit", kind: "limit", cell: (row) => limit({ ...row, limit_value: row.effective_limit }) },
  { ...full, sort: null },
  { name: "Left", kind: "number", cell: (row) => number(row.remaining) },
  frees,
];

const counted = {
  rule: (row) => row.rule_name, limit: (row) => row.effective_limit, limit_type: (row) => row.limit_type, used: (row) => row.used, resets_at: (row) => row.resets_at,
};
const exportedUse = { key: (row) => row.key, ...counted };
const exportedUsers = { user: (row) => row.user, ...counted, score: (row) => row.score, tier: (row) => row.tier };

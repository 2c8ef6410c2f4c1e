// Rate limit configuration: find, create, copy, change and delete rules.

import * as api from "../api.js";
import { pageOf } from "../address.js";
import { all, download, save } from "../csv.js";
import { empty, h, mark, mono, pick, section, select } from "../dom.js";
import { limit } from "../format.js";
import { agreed } from "../question.js";
import { FIELDS } from "../rulefile.js";
import { pagedList } from "../tables.js";
import { offerUndo } from "../undo.js";
import { bulk } from "./bulk.js";
import { makeRuleImport } from "./ruleimport.js";
import { SCOPES, makeLimitRuleForm } from "./limitruleform.js";

const LAST = 1_000_000;  // an offset beyond all rules: the list then shows its last page

const KINDS = [["", "Every kind"], ...Object.entries(SCOPES).map(([scope, { all }]) => [scope, all])];
const STATES = [["", "Every state"], ["true", "In force"], ["false", "Off"]];
const LONGEST_NAME = 100;
const TYPING_MS = 200;

export function rules({ guard, signIn, record }) {
  const filters = {
    search: h("input", { type: "search", "aria-label": "Find a rule", placeholder: "name or value", spellcheck: "false", maxlength: 200, autocomplete: "off", oninput: search }),
    scope: select("Kind of rule", KINDS, "", () => list.turn(0)),
    enabled: select("State of rule", STATES, "", () => list.turn(0)),
  };
  let typing = null;
  function search() {
    clearTimeout(typing);
    typing = setTimeout(() => list.turn(0), TYPING_MS);
  }
  const wanted = () => Object.fromEntries(Object.entries(filters).map(([name, { value }]) => [name, value.trim()]));
  const add = h("button", { type: "button", class: "primary", onclick: () => edit(null) }, "New rule");
  const columns = [
    { name: "Rule", sort: "rule_name", cell: (rule) => rule.rule_name },
    { name: "Limit", kind: "limit", sort: "limit_value", cell: limit },
    { name: "Counted for", kind: "prose", sort: "scope", cell: appliesTo },
    { name: "Resource", sort: "resource_type", cell: (rule) => rule.resource_type ?? "all" },
    { name: "State", sort: "enabled", cell: (rule) => (rule.enabled ? mark("In force", "good") : mark("Off", "plain")) },
    { name: "Actions", kind: "actions", cell: (rule) => [
      h("button", { type: "button", class: "quiet edit", "aria-label": `Edit ${rule.rule_name}`, onclick: () => guard.now(async () => edit(await api.get(`/config/${rule.id}`))) }, "Edit"),
      h("button", { type: "button", class: "quiet", "aria-label": `Copy ${rule.rule_name}`, onclick: () => edit(null, copy(rule)) }, "Copy"),
      h("button", { type: "button", class: "quiet danger", "aria-label": `Delete ${rule.rule_name}`, onclick: () => confirmDeletion(rule) }, "Delete")] },
  ];
  const list = pagedList({
    label: "Rate limit configuration", columns, guard,
    load: (page) => api.get("/config", { ...page, ...wanted() }),
    nothing: () => (Object.values(wanted()).some(Boolean) ? empty("No rules", "match this filter") : empty("No rules", "Without a rule nothing is limited.")),
    turned: (page, sort) => { many.show(); record({ ...wanted(), sort, page }); },
  });
  const many = bulk({ guard, filter: wanted, done: () => list.refresh() });
  const openImport = makeRuleImport({ signIn, done: () => guard.now(list.refresh) });
  const files = [
    h("button", { type: "button", onclick: () => guard.now(() => download("rules.csv", exported, found)) }, "Export CSV"),
    h("button", { type: "button", onclick: () => guard.now(async () => save("rules.json", json(await all(found)), "application/json")) }, "Export JSON"),
    h("button", { type: "button", onclick: openImport }, "Import"),
  ];
  const found = (page) => api.get("/config", { ...page, ...wanted() });
  const element = section("Rate limit configuration", [...Object.values(filters), ...many.elements, ...files, add], list.element);
  const edit = makeLimitRuleForm({ signIn, saved });

  async function saved(id) {
    await guard.now(list.refresh);
    if (!editOf(id)) {
      for (const one of Object.values(filters)) one.value = "";
      list.open(1);
      await list.turn(LAST);  // without a filter and a sort: a new rule is the last
    }
    (editOf(id) ?? add).focus();
  }
  const editOf = (id) => element.querySelector(`[data-id="${Number(id)}"] .edit`);

  async function confirmDeletion(rule) {
    const text = `“${rule.rule_name}” and all its counts will be deleted: usage, quotas and violations. For 10 seconds the rule can be restored; its counts then start from zero.`;
    if (await agreed({ title: "Delete this rule?", text, yes: "Delete", no: "Keep it" })) await remove(rule);
  }

  async function remove(rule) {
    await guard.now(async () => {
      const found = await api.get(`/config/${rule.id}`);  // another administrator may have changed it meanwhile
      await api.remove(`/config/${rule.id}`, found);
      await list.refresh();
      offerUndo(found.rule_name, () => restore(found));
    });
    add.focus();
  }

  // It was set before, so its author needs to confirm nothing again.
  async function restore({ id, created_at: created, updated_at: updated, ...rule }) {
    await guard.now(async () => saved((await api.create("/config", rule, { confirm: true })).id));
  }
  function show({ search = "", scope = "", enabled = "", sort, page }) {
    filters.search.value = search;
    pick(filters.scope, scope);
    pick(filters.enabled, enabled);
    list.open(pageOf(page), sort);
    many.show();
  }
  return { element, refresh: list.refresh, restore: show };
}

const exported = Object.fromEntries(FIELDS.map((name) => [name, (rule) => rule[name]]));
const json = (rules) => `${JSON.stringify({ rules: rules.map((rule) => Object.fromEntries(FIELDS.map((name) => [name, rule[name]]))) }, null, 2)}\n`;
const copy = (rule) => ({ ...rule, rule_name: `${rule.rule_name.slice(0, LONGEST_NAME - 5)} copy` });

function appliesTo(rule) {
  if (rule.scope === "global") return SCOPES.global.all;
  return rule.scope_value ? [`${SCOPES[rule.scope].one} `, mono(rule.scope_value)] : `each ${SCOPES[rule.scope].one}`;
}

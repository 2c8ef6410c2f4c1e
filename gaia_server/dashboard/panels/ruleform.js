// The form of a rule: describes the rule in a sentence, and shows errors beside their fields.

import * as api from "../api.js";
import { byId, choices } from "../dom.js";
import { LIMIT_TYPES, WHOLE_LIMIT, number, unit } from "../format.js";
import { makeRulePreview } from "./rulepreview.js";

export const SCOPES = {
  ip: { one: "address", all: "each address", example: "192.0.2.7" },
  api_key: { one: "API key", all: "each API key", example: "the key" },
  user: { one: "user", all: "each user", example: "the user's id" },
  session: { one: "session", all: "each session", example: "the session's id" },
  global: { one: "all requests", all: "all requests together", example: "" },
};
const RESOURCES = [["", "all"], ...[
  "config", "usage", "violations", "analytics", "users", "reputation", "reputation-events", "alerts", "login", "other",
].map((name) => [name, name])];
const NEW = { rule_name: "", scope: "ip", scope_value: null, limit_type: "requests_per_minute", limit_value: 60, resource_type: null, enabled: true };

// What to enter instead; the API's own words name its values, not the form's.
const ADVICE = {
  rule_name: (detail) => (detail === "is taken" ? "Another rule has this name."
    : "Give 1 to 100 letters, digits, spaces or ._:/@-, the first a letter or a digit."),
  limit_value: () => `Give ${WHOLE_LIMIT}.`,
  scope_value: (detail, scope) => (scope === "ip" ? "Give an IP address, such as 192.0.2.7, or leave it empty for each address."
    : `Give 1 to 200 letters, digits or signs without spaces and accents, or leave it empty for ${SCOPES[scope].all}.`),
};

// Returns edit(rule), null for a new rule, which may start as a copy of another; calls saved(id) afterwards.
export function makeRuleForm({ signIn, saved }) {
  const dialog = byId("rule");
  const form = dialog.querySelector("form");
  const fields = form.elements;
  let edited = null;
  let typed = false;  // something that is not saved
  let draft = null;  // what Escape has closed: {id, body, version}
  let approved = {};  // what the next save may do: replace another administrator's value, refuse its own author
  const preview = makeRulePreview();
  fields.limit_type.replaceChildren(...choices(LIMIT_TYPES));
  fields.scope.replaceChildren(...choices(Object.entries(SCOPES).map(([scope, { all }]) => [scope, all])));
  fields.resource_type.replaceChildren(...choices(RESOURCES));
  form.addEventListener("input", () => { typed = true; approve({ version: approved.version }); summarize(); });
  form.addEventListener("submit", (event) => { event.preventDefault(); save(); });
  form.querySelector(".cancel").addEventListener("click", () => { typed = false; dialog.close(); });
  byId("rule-draft").querySelector("button").addEventListener("click", () => { typed = false; fill(edited); });
  dialog.addEventListener("close", () => { if (typed) draft = { id: edited?.id, body: read(fields), version: approved.version }; });

  // A form that was closed by Escape opens again with what had been typed.
  function edit(rule, copied = null) {
    const found = draft?.id === rule?.id && !copied ? draft : null;
    if (found) draft = null;
    typed = Boolean(found ?? copied);
    fill(rule, found, copied);
    dialog.showModal();
    fields.rule_name.focus();
  }

  function fill(rule, found = null, copied = null) {
    edited = rule;
    const shown = found?.body ?? copied ?? rule ?? NEW;
    byId("rule-draft").hidden = !found;
    byId("rule-title").textContent = rule ? `Edit ${rule.rule_name}` : "New rule";
    for (const name of ["rule_name", "scope", "limit_type", "limit_value"]) fields[name].value = shown[name];
    fields.scope_value.value = shown.scope_value ?? "";
    fields.resource_type.value = shown.resource_type ?? "";
    fields.enabled.checked = shown.enabled;
    showErrors([]);
    approve({ version: (found ?? rule)?.version });
    summarize();
  }

  function summarize() {
    const rule = read(fields);
    fields.scope_value.disabled = rule.scope === "global";
    fields.scope_value.placeholder = SCOPES[rule.scope].example && `any, or ${SCOPES[rule.scope].example}`;
    byId("rule-summary").textContent = summary(rule, edited);
    preview(edited && !restartsCount(rule, edited) && rule.limit_value !== edited.limit_value ? edited : null, rule.limit_value);
  }

  async function save() {
    const body = read(fields);
    showErrors([]);
    try {
      const { id } = await (edited ? api.replace(`/config/${edited.id}`, body, approved) : api.create("/config", body, approved));
      typed = false;
      dialog.close();
      saved(id);
    } catch (error) {
      if (error.status === 401) signIn();
      if (error.status === 412) ask({ version: error.version }, `Another administrator has changed this rule meanwhile.\nIt is now: “${title(error.current)}”\nYours: “${title(body)}”\nSave again to replace theirs, or cancel.`);
      else if (error.refusesAuthor) ask({ ...approved, confirm: true }, "This rule refuses your own requests, the ones of this page among them. Rules can still be changed here. Save again to set it all the same.");
      else showErrors(error.errors ?? [], api.explain(error));
    }
  }

  function ask(wanted, question) {
    showErrors([], question);
    approve(wanted, "Save anyway");
  }

  function approve(wanted, label = "Save rule") {
    approved = wanted;
    form.querySelector("[type=submit]").textContent = label;
  }

  // Errors of a field are shown beside it; all others below the form.
  function showErrors(errors, sentence = "") {
    const fieldErrors = errors.filter(({ field }) => byId(`wrong-${field}`));
    for (const [name, advice] of Object.entries(ADVICE)) {
      const wrong = fieldErrors.find(({ field }) => field === name);
      byId(`wrong-${name}`).textContent = wrong ? advice(wrong.detail, fields.scope.value) : "";
      fields[name].toggleAttribute("aria-invalid", Boolean(wrong));
    }
    byId("rule-problem").textContent = fieldErrors.length && fieldErrors.length === errors.length ? "" : sentence;
    form.querySelector("[aria-invalid]")?.focus();
  }
  return edit;
}

function read(fields) {
  const scope = fields.scope.value;
  return {
    rule_name: fields.rule_name.value.trim(),
    scope,
    scope_value: scope === "global" ? null : fields.scope_value.value.trim() || null,
    limit_type: fields.limit_type.value,
    limit_value: fields.limit_value.value === "" ? null : Number(fields.limit_value.value),
    resource_type: fields.resource_type.value || null,
    enabled: fields.enabled.checked,
  };
}

const title = (rule) => `${rule.rule_name}: ${summary(rule, null)}`;

export function summary(rule, before) {
  const whom = rule.scope_value ? `the ${SCOPES[rule.scope].one} ${rule.scope_value}` : SCOPES[rule.scope].all;
  const what = rule.resource_type ? ` to ${rule.resource_type}` : "";
  const most = rule.limit_value ? `At most ${number(rule.limit_value)} requests${what} per ${unit(rule.limit_type)}` : `No request${what} at all`;
  const hints = [rule.enabled ? "" : "Not enforced.", restartsCount(rule, before) ? "Counting restarts from zero." : "", locksOut(rule) ? "This page is refused as well." : ""];
  return [`${most} for ${whom}.`, ...hints].filter(Boolean).join(" ");
}

const restartsCount = (rule, before) => before && ["scope", "scope_value", "limit_type", "resource_type"].some((name) => rule[name] !== before[name]);
const locksOut = (rule) => rule.enabled && !rule.limit_value && !rule.scope_value && !rule.resource_type && ["ip", "global"].includes(rule.scope);

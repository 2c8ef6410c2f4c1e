// The form of a rate limit rule: describes the rule in a sentence, and previews its effect.

import { byId, choices } from "../dom.js";
import { LIMIT_TYPES, WHOLE_LIMIT, number, unit } from "../format.js";
import { makeRuleForm } from "./ruleform.js";
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
  scope_value: (detail, { scope }) => (scope.value === "ip" ? "Give an IP address, such as 192.0.2.7, or leave it empty for each address."
    : `Give 1 to 200 letters, digits or signs without spaces and accents, or leave it empty for ${SCOPES[scope.value].all}.`),
};

// Returns edit(rule), null for a new rule, which may start as a copy of another; calls saved(id) afterwards.
export function makeLimitRuleForm({ signIn, saved }) {
  const preview = makeRulePreview();
  const { fields, edit } = makeRuleForm({
    prefix: "rule", noun: "rule", name: "rule_name", path: "/config", fresh: NEW, advice: ADVICE, write, read, title, signIn, saved, changed: summarize,
  });
  fields.limit_type.replaceChildren(...choices(LIMIT_TYPES));
  fields.scope.replaceChildren(...choices(Object.entries(SCOPES).map(([scope, { all }]) => [scope, all])));
  fields.resource_type.replaceChildren(...choices(RESOURCES));

  function summarize(_, edited) {
    const rule = read(fields);
    fields.scope_value.disabled = rule.scope === "global";
    fields.scope_value.placeholder = SCOPES[rule.scope].example && `any, or ${SCOPES[rule.scope].example}`;
    byId("rule-summary").textContent = summary(rule, edited);
    preview(edited && !restartsCount(rule, edited) && rule.limit_value !== edited.limit_value ? edited : null, rule.limit_value);
  }
  return edit;
}

function write(fields, rule) {
  for (const name of ["rule_name", "scope", "limit_type", "limit_value"]) fields[name].value = rule[name];
  fields.scope_value.value = rule.scope_value ?? "";
  fields.resource_type.value = rule.resource_type ?? "";
  fields.enabled.checked = rule.enabled;
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

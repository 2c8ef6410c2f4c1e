// The form of an alert rule.

import * as api from "../api.js";
import { all } from "../csv.js";
import { byId, choices } from "../dom.js";
import { WHOLE_LIMIT, duration, number } from "../format.js";
import { makeRuleForm } from "./ruleform.js";

// ofRule: the value can be that of one rate limit rule.
const METRICS = {
  violations_per_minute: { name: "Denied requests within a minute", unit: "requests", ofRule: true },
  limit_utilisation_percent: { name: "Fullest limit of a client", unit: "%", ofRule: true },
  error_percent: { name: "Failed requests within a minute", unit: "%" },
  memory_mb: { name: "Memory of a server process", unit: "MB" },
  pool_use_percent: { name: "Database connections in use", unit: "%" },
  system_load_percent: { name: "Load of a machine", unit: "%" },
};
export const SEVERITIES = ["info", "warning", "critical"];
const ALL = "all rate limit rules";
const NEW = { name: "", metric: "violations_per_minute", rule_id: null, threshold: 100, clear_threshold: null, for_s: 0, severity: "warning", enabled: true };

export const metric = (rule) => METRICS[rule.metric].name;
export const amount = (rule, value) => `${number(value)} ${METRICS[rule.metric].unit}`;
export const ofRule = (rule) => (METRICS[rule.metric].ofRule ? rule.rule_name || ALL : "");
export const lasting = (rule) => (rule.for_s ? ` for ${duration(rule.for_s).replace(/ 0 \w+$/, "")}` : "");

const ADVICE = {
  name: (detail) => (detail === "is taken" ? "Another alert rule has this name."
    : "Give 1 to 100 letters, digits, spaces or ._:/@-, the first a letter or a digit; others and accents are not possible."),
  rule_id: () => "This rule has been deleted meanwhile. Choose another one.",
  threshold: () => `Give ${WHOLE_LIMIT}.`,
  clear_threshold: (detail, { threshold }) => (detail === "is above the threshold" ? `Give at most ${number(threshold.value)}, above which it fires.`
    : `Give ${WHOLE_LIMIT}, or leave it empty for the value above which it fires.`),
  for_s: () => "Give a whole number of seconds from 0 to 86,400, which is a day.",
};

// Returns edit(rule), null for a new alert rule, which may start as a copy of another; calls saved(id) afterwards.
export function makeAlertRuleForm({ signIn, saved }) {
  const { fields, edit } = makeRuleForm({
    prefix: "alert-rule", noun: "alert rule", name: "name", path: "/alerts/rules", fresh: NEW, advice: ADVICE, write, read, title, signIn, saved, changed: summarize,
  });
  fields.metric.replaceChildren(...choices(Object.entries(METRICS).map(([value, { name }]) => [value, name])));
  fields.severity.replaceChildren(...choices(SEVERITIES.map((name) => [name, name])));

  function summarize() {
    const rule = read(fields);
    fields.rule_id.disabled = !METRICS[rule.metric].ofRule;
    byId("alert-rule-unit").textContent = METRICS[rule.metric].unit;
    byId("alert-rule-summary").textContent = summary({ ...rule, rule_name: fields.rule_id.value && fields.rule_id.selectedOptions[0].textContent });
  }

  return async (rule, copied = null) => {
    const rules = await all((page) => api.get("/config", page));
    fields.rule_id.replaceChildren(...choices([["", ALL], ...rules.map((one) => [one.id, one.rule_name])]));
    edit(rule, copied);
  };
}

function write(fields, rule) {
  for (const name of ["name", "metric", "threshold", "for_s", "severity"]) fields[name].value = rule[name];
  fields.rule_id.value = rule.rule_id ?? "";
  fields.clear_threshold.value = rule.clear_threshold === rule.threshold ? "" : rule.clear_threshold ?? "";  // then it follows
  fields.enabled.checked = rule.enabled;
}

function read(fields) {
  return {
    name: fields.name.value.trim(),
    metric: fields.metric.value,
    rule_id: METRICS[fields.metric.value].ofRule && fields.rule_id.value ? Number(fields.rule_id.value) : null,
    threshold: whole(fields.threshold),
    clear_threshold: whole(fields.clear_threshold),
    for_s: whole(fields.for_s),
    severity: fields.severity.value,
    enabled: fields.enabled.checked,
  };
}

// null for an empty field; what is no number stays text, which the server refuses.
function whole({ value, validity }) {
  if (validity.badInput) return "";
  return value === "" ? null : Number(value);
}

const title = (rule) => `${rule.name}: ${summary(rule)}`;

function summary(rule) {
  const of = ofRule(rule) && ` of ${ofRule(rule)}`;
  const clears = rule.clear_threshold || rule.clear_threshold === 0 ? rule.clear_threshold : rule.threshold;
  const off = rule.enabled ? "" : " Off: it does not fire.";
  return `${metric(rule)}${of}: fires above ${amount(rule, rule.threshold ?? 0)}${lasting(rule)}, clears at ${amount(rule, clears ?? 0)}.${off}`;
}

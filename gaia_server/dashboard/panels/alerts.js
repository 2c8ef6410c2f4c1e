// Alerts of all server processes: the firing ones, the rules that fire them with their present values, and the history.

import * as api from "../api.js";
import { pageOf } from "../address.js";
import { empty, h, mark, meter, section } from "../dom.js";
import { followFiring } from "../firing.js";
import { share, when } from "../format.js";
import { agreed } from "../question.js";
import { pagedList, table } from "../tables.js";
import { offerUndo } from "../undo.js";
import { makeAcknowledge } from "./acknowledge.js";
import { alertHistory, common, severity, stateOf } from "./alerthistory.js";
import { amount, lasting, makeAlertRuleForm, metric, ofRule } from "./alertruleform.js";
import { makeMute, setMute } from "./mute.js";

const FIELDS = ["name", "metric", "rule_id", "threshold", "clear_threshold", "for_s", "severity", "enabled"];  // what a client sets
const LONGEST_NAME = 100;
const LAST = 1_000_000;  // an offset beyond all rules: the list then shows its last page

export function alerts({ root, live, guard, signIn, visible, record }) {
  let firing = [];
  let watched = null;  // the enabled rules with their present values, by name
  let rulespage = 1;
  const loaded = new Map();  // the shown rules by id
  const turned = () => record({ ...history.state(), rulespage });
  const { button: acknowledge, who } = makeAcknowledge({ guard, signIn, done });
  const history = alertHistory({ guard, acknowledge, turned });
  const now = table("Firing now", [
    ...common,
    { name: "Since", kind: "number", cell: (alert) => when(alert.since) },
    { name: "Actions", kind: "actions", cell: (alert) => (alert.acknowledged_at ? null : acknowledge(alert)) },
  ]);
  const quiet = h("div", {}, empty("Waiting for the live connection", "It reports firing alerts."));
  const add = h("button", { type: "button", class: "primary", onclick: () => guard.now(() => edit(null)) }, "New alert rule");
  const list = pagedList({
    label: "Alert rules", columns: [{ name: "Alert rule", cell: (rule) => rule.name }, ...columns(present, state), { name: "Actions", kind: "actions several", cell: actions }], guard, load,
    nothing: () => empty("No alert rules", "Without one, no alert fires."),
    turned: (page) => { rulespage = page; turned(); },
  });
  const edit = makeAlertRuleForm({ signIn, saved });
  const mute = makeMute({ signIn, done: () => guard.now(list.refresh) });
  now.element.hidden = true;
  root.append(section("Firing now", who, quiet, now.element), section("Alert rules", add, list.element), history.element);

  // Live

  const firstStats = new Promise((resolve) => { live.addEventListener("stats", resolve, { once: true }); });
  let shown = null;
  followFiring(live, (found) => {
    firing = found;
    const text = JSON.stringify(firing);
    if (text !== shown) showFiring();  // a button is not replaced while it is pressed
    shown = text;
    showPresent();
  });
  live.addEventListener("stats", ({ detail: { data } }) => {
    const before = watched;
    watched = new Map(data.alerts.watched.map((rule) => [rule.name, rule]));
    showPresent();
    if (!visible()) return;
    if (before && rulesOf(before) !== rulesOf(watched)) guard(list.refresh);  // another administrator has changed one
    if (history.undelivered) guard(history.refresh);
  });
  live.addEventListener("alert", () => { if (visible()) guard(history.refresh); });

  function showFiring() {
    if (!firing.length) quiet.replaceChildren(empty("All quiet", "No alert is firing."));
    quiet.hidden = firing.length > 0;
    now.element.hidden = !firing.length;
    now.show(firing);
  }

  function showPresent() {
    for (const row of list.element.querySelectorAll("tbody tr")) {
      const rule = loaded.get(Number(row.dataset.id));
      row.querySelector(".used > span").replaceChildren(...present(rule));
      row.querySelector(".state > span").replaceChildren(...state(rule));
    }
  }

  function present({ name }) {
    const rule = watched?.get(name);
    return rule ? [meter(rule.value, rule.threshold, share(rule.value, rule.threshold)), h("span", {}, share(rule.value, rule.threshold))] : ["–"];
  }

  function state(rule) {
    const alert = firing.find(({ name }) => name === rule.name);
    const found = watched?.get(rule.name);
    return [standing(rule, alert, found), ...(isMuted(rule) ? [h("div", { class: "muted" }, "Muted until ", when(rule.muted_until))] : [])];
  }

  // Rules

  async function load(page) {
    const found = await api.get("/alerts/rules", page);
    for (const rule of found.items) loaded.set(rule.id, rule);
    return found;
  }

  function actions(rule) {
    const action = (text, act, kind = "") => h("button", { type: "button", class: `quiet ${kind}`, "aria-label": `${text} ${rule.name}`, onclick: act }, text);
    return [
      action("Edit", () => guard.now(async () => edit(await api.get(`/alerts/rules/${rule.id}`))), "edit"),
      action("Duplicate", () => guard.now(() => edit(null, { ...rule, name: `${rule.name.slice(0, LONGEST_NAME - 5)} copy` }))),
      isMuted(rule) ? action("Unmute", () => change(() => setMute(rule, 0))) : action("Mute", () => mute(rule)),
      action(rule.enabled ? "Disable" : "Enable", () => change(() => setEnabled(rule, !rule.enabled))),
      action("Delete", () => confirmDeletion(rule), "danger"),
    ];
  }

  function change(work) {
    return guard.now(async () => { await work(); await list.refresh(); });
  }

  const editOf = (id) => list.element.querySelector(`[data-id="${Number(id)}"] .edit`);

  async function saved(id) {
    await guard.now(list.refresh);
    if (!editOf(id)) await list.turn(LAST);  // a new rule is the last
    (editOf(id) ?? add).focus();
  }

  async function confirmDeletion(rule) {
    const text = `“${rule.name}” will be deleted; if its alert is firing, it resolves. For 10 seconds the alert rule can be restored.`;
    if (!await agreed({ title: "Delete this alert rule?", text, yes: "Delete", no: "Keep it" })) return;
    await guard.now(async () => {
      const found = await api.get(`/alerts/rules/${rule.id}`);  // another administrator may have changed it meanwhile
      await api.remove(`/alerts/rules/${rule.id}`, found);
      await list.refresh();
      offerUndo(found.name, () => restoreRule(found));
    });
    add.focus();
  }

  function restoreRule(rule) {
    return guard.now(async () => {
      const restored = await api.create("/alerts/rules", fieldsOf(rule));
      if (isMuted(rule)) await setMute(restored, Math.ceil((Date.parse(rule.muted_until) - Date.now()) / 1000));
      await saved(restored.id);
    });
  }

  function done() {
    who.focus();  // an acknowledged alert has no button any more
    guard.now(history.refresh);
  }

  function restore({ rulespage: rulesPage, page, ...filters }) {
    rulespage = pageOf(rulesPage);
    list.open(rulespage);
    history.restore({ ...filters, page: pageOf(page) });
  }

  // One after the other: a server that fails, or refuses this page, is sent no second request.
  async function refresh() {
    await history.refresh();
    await list.refresh();
    await firstStats;
  }
  return { refresh, restore };
}

const isMuted = (rule) => Date.parse(rule.muted_until) > Date.now();
const rulesOf = (watched) => JSON.stringify([...watched.values()].map(({ value, ...rule }) => rule));
const fieldsOf = (rule) => Object.fromEntries(FIELDS.map((name) => [name, rule[name]]));

// With the version, so that a change of another administrator meanwhile is not overwritten.
async function setEnabled({ id }, enabled) {
  const found = await api.get(`/alerts/rules/${id}`);
  await api.replace(`/alerts/rules/${id}`, { ...fieldsOf(found), enabled }, { version: found.version });
}

function standing(rule, alert, watched) {
  if (!rule.enabled) return mark("Off", "plain");
  if (alert) return stateOf(alert);
  return watched && watched.value > watched.threshold ? mark("Pending", "warn") : mark("Quiet", "good");
}

const columns = (present, state) => [
  { name: "Metric", kind: "prose", cell: (rule) => [metric(rule), ofRule(rule) && h("div", { class: "muted" }, `of ${ofRule(rule)}`)] },
  { name: "Fires", kind: "prose named", cell: (rule) => [
    `above ${amount(rule, rule.threshold)}${lasting(rule)}`, h("div", { class: "muted" }, `clears at ${amount(rule, rule.clear_threshold)}`)] },
  { name: "Now", kind: "used", cell: present },
  { name: "Severity", kind: "limit", cell: severity },
  { name: "State", kind: "state", cell: state },
];

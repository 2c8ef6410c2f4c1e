// One user: the limits that apply, the user's own limits, and the reputation. Each part is saved separately.

import * as api from "../api.js";
import { byId, h, meter } from "../dom.js";
import { LIMIT_TYPES, WHOLE_LIMIT, limit, number, share, until, when } from "../format.js";
import { table } from "../tables.js";

// Returns open(user); calls saved() after each change.
export function makeUserForm({ signIn, saved }) {
  const dialog = byId("user");
  const [limits, reputation] = [byId("user-limits"), byId("user-reputation")];
  let user = null;
  let approved = {};  // what the next save of limits may do: replace another administrator's, refuse its own author
  byId("user-own").replaceChildren(...LIMIT_TYPES.map(([type, unit]) => h("label", {}, `Per ${unit}`,
    h("input", { name: type, type: "number", inputmode: "numeric", min: 0, step: 1, placeholder: "none" }))));
  limits.addEventListener("submit", (event) => { event.preventDefault(); save("limits", () => replaceLimits(own(limits))); });
  reputation.addEventListener("submit", (event) => { event.preventDefault(); save("reputation", () => api.replace(path("reputation"), score(reputation))); });
  dialog.querySelector(".cancel").addEventListener("click", () => dialog.close());

  const path = (kind) => `/${kind}/${encodeURIComponent(user).replaceAll(".", "%2E")}`;

  async function open(name) {
    user = name;
    byId("user-title").textContent = `User ${name}`;
    for (const part of ["limits", "reputation"]) byId(`user-${part}-problem`).textContent = "";
    await attempt("limits", show);
    dialog.showModal();
  }

  async function show() {
    const [found, events, counted] = await Promise.all([
      api.get(path("users")), api.get("/reputation-events", { user, limit: 5 }), api.get("/usage", { key: `user:${user}`, limit: 1 })]);
    byId("user-unknown").hidden = counted.total || events.total || found.limits.some((one) => one.own);
    approve({ version: found.version });
    showLimits(limits.elements, found.limits);
    showReputation(reputation.elements, found, events.items);
  }

  async function replaceLimits(wanted) {
    try {
      await api.replace(path("users"), { limits: wanted }, approved);
    } catch (error) {
      if (error.status === 412) {
        approve({ version: error.version }, "Save anyway");
        throw `Another administrator has changed these limits meanwhile.\nThey are now: ${listed(error.current.limits)}.\nYours: ${listed(wanted)}.\nSave again to replace theirs, or close.`;
      }
      if (error.refusesAuthor) approve({ ...approved, confirm: true }, "Save anyway");
      throw error;
    }
  }

  function approve(wanted, label = "Save limits") {
    approved = wanted;
    limits.querySelector("[type=submit]").textContent = label;
  }

  async function save(part, work) {
    if (await attempt(part, work) && await attempt(part, show)) saved();
  }

  async function attempt(part, work) {
    byId(`user-${part}-problem`).textContent = "";
    try {
      await work();
      return true;
    } catch (error) {
      if (error.status === 401) signIn();
      byId(`user-${part}-problem`).textContent = error.errors?.length ? error.errors.map(advice).join("\n") : api.explain(error);
      return false;
    }
  }
  return open;
}

function showLimits(fields, found) {
  byId("user-applies").replaceChildren(found.length ? table("Limits that apply", applies, found).element : h("p", { class: "muted" }, "No user rule applies."));
  const ownLimits = Object.fromEntries(found.filter((one) => one.own && one.enabled && !one.resource_type).map((one) => [one.limit_type, one.limit_value]));
  for (const [type] of LIMIT_TYPES) fields[type].value = ownLimits[type] ?? "";
}

function showReputation(fields, { reputation, reputation_in_force: inForce }, events) {
  byId("user-standing").textContent =
    `${reputation.score} points: ${reputation.tier}, limits ×${reputation.factor}${inForce ? "" : " once reputation is enabled; it is disabled now"}.`;
  fields.score.value = reputation.score;
  fields.vip.checked = reputation.vip;
  fields.reason.value = "";
  byId("user-events").replaceChildren(...events.map((event) => h("li", {}, when(event.occurred_at), h("span", {}, event.reason ?? event.kind),
    h("b", {}, event.change > 0 ? `+${event.change}` : String(event.change)))));
}

// What to enter instead; the API's own words name its fields, not the form's.
function advice({ field, detail }) {
  const type = LIMIT_TYPES.find(([name]) => field === `limits.${name}`);
  if (type) return `Per ${type[1]}: give ${WHOLE_LIMIT}, or nothing for no limit of this user's own.`;
  if (field === "score") return "Score: give a whole number from 0 to 100.";
  if (field === "reason") return "Reason: say why, in 1 to 200 characters.";
  return `${field} ${detail}.`;
}

const listed = (found) => LIMIT_TYPES.filter(([type]) => type in found).map(([type, unit]) => `${number(found[type])} per ${unit}`).join(", ") || "none";
const own = (form) => Object.fromEntries(LIMIT_TYPES.map(([type]) => [type, form.elements[type].value]).filter(([, value]) => value !== "").map(([type, value]) => [type, Number(value)]));
const score = ({ elements: { score: points, vip, reason } }) => ({ score: Number(points.value), vip: vip.checked, reason: reason.value.trim() });

const applies = [
  { name: "Limit", kind: "limit", cell: (row) => limit({ ...row, limit_value: row.effective_limit }) },
  { name: "Of", cell: (row) => (row.own ? "this user" : "all users") },
  { name: "Resource", cell: (row) => row.resource_type ?? "all" },
  { name: "Used", kind: "used", cell: (row) => [meter(row.used, row.effective_limit, `${share(row.used, row.effective_limit)} used`), h("span", {}, number(row.used))] },
  { name: "Frees up", kind: "number", cell: (row) => (row.used && row.resets_at ? until(row.resets_at) : "–") },
];

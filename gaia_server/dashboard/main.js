// The page: tabs, the live connection, the login. Each panel manages its own content.

import * as address from "./address.js";
import { byId, choices } from "./dom.js";
import { followFiring } from "./firing.js";
import { chooseZone, duration, when, zone, zones } from "./format.js";
import { makeGuard } from "./guard.js";
import { Live } from "./live.js";
import { makeLogin } from "./login.js";
import { alerts } from "./panels/alerts.js";
import { analytics } from "./panels/analytics.js";
import { health } from "./panels/health.js";
import { overview } from "./panels/overview.js";
import { users } from "./panels/users.js";
import { violations } from "./panels/violations.js";

const live = new Live();
const tabs = [...document.querySelectorAll("[role=tab]")];
let current = "overview";
const last = {};  // the address of each tab

const signIn = makeLogin(() => { guard.signedIn(); live.connect(); refresh(); });
const guard = makeGuard({ notify: notice, signIn, retry: refresh });

// All panels receive the live messages from the start; refresh() queries the API for the visible one.
const panels = Object.fromEntries(Object.entries({ overview, users, analytics, violations, alerts, health }).map(([name, make]) =>
  [name, make({ root: byId(`panel-${name}`), live, guard, signIn, visible: () => current === name && !document.hidden, record: (parameters) => record(name, parameters) })]));

function refresh() {
  const name = current;
  guard(async () => {
    await panels[name].refresh();
    byId(`panel-${name}`).setAttribute("aria-busy", "false");  // the panel shows data
  });
}

function notice(text) {
  const element = byId("notice");
  if (element.textContent !== text) element.textContent = text;
  element.hidden = !text;
}

// Tabs

function show(name) {
  current = name;
  for (const tab of tabs) {
    const chosen = tab.dataset.tab === name;
    tab.setAttribute("aria-selected", chosen);
    tab.tabIndex = chosen ? 0 : -1;
    byId(`panel-${tab.dataset.tab}`).hidden = !chosen;
  }
  refresh();
}

// The address is the truth: every change of it is shown, and filters are recorded in it.
function follow() {
  const { tab, parameters } = address.read();
  const name = tab in panels ? tab : "overview";
  last[name] = location.hash;
  panels[name].restore?.(parameters);
  show(name);
}

function record(name, parameters) {
  last[name] = address.fragment(name, parameters);
  if (name !== current || location.hash === last[name]) return;
  const typing = parameters.search && address.read().parameters.search;  // one step back, not one for each letter
  history[typing ? "replaceState" : "pushState"](null, "", last[name]);
}

function choose({ dataset: { tab: name } }) {
  if (name !== (address.read().tab || "overview")) location.hash = last[name] ?? name;  // hashchange shows it, so the back button works
  else show(name);
}

for (const [index, tab] of tabs.entries()) {
  tab.addEventListener("click", () => choose(tab));
  tab.addEventListener("keydown", (event) => {
    const target = { ArrowRight: index + 1, ArrowLeft: index - 1, Home: 0, End: tabs.length - 1 }[event.key];
    if (target === undefined) return;
    event.preventDefault();
    const next = tabs[(target + tabs.length) % tabs.length];
    next.focus();
    choose(next);
  });
}
addEventListener("hashchange", follow);
document.addEventListener("visibilitychange", () => { if (!document.hidden) refresh(); });

const zonePicker = byId("zone").querySelector("select");
zonePicker.replaceChildren(...choices(zones.map((name) => [name, name]), zone));
zonePicker.addEventListener("change", () => chooseZone(zonePicker.value));

// The live connection

let due = null;  // the time of the next attempt, ms since the epoch
let recovered = 0;  // lost connections after which the page was refreshed

live.addEventListener("state", ({ detail: { state, text, until } }) => {
  due = until;
  byId("connection").dataset.connection = state;
  document.documentElement.dataset.live = state;
  if (byId("connection-text").textContent !== text) byId("connection-text").textContent = text;
  byId("connection").querySelector("[data-live=seq]").textContent = live.seq;
  byId("connection-seq").hidden = state !== "connected";
  byId("connection-now").hidden = state === "connected" || text === "Connecting";
  countDown();
  showLost(state, text);
  if (state === "connected" && live.losses > recovered) {
    recovered = live.losses;
    refresh();
  }
});
live.addEventListener("login", signIn);
addEventListener("online", () => { if (live.state !== "connected") live.connect(); });
byId("connection-now").addEventListener("click", () => live.connect());
setInterval(countDown, 500);

function countDown() {
  byId("connection-wait").textContent = due ? `in ${Math.max(Math.ceil((due - Date.now()) / 1000), 1)} s` : "";
}

// Until the page is connected again, its figures may be old. A first connection attempt is no loss.
function showLost(state, text) {
  byId("lost").hidden = state === "connected" || (byId("lost").hidden && text === "Connecting");
  byId("lost").replaceChildren(...(live.lastAt ? ["No live connection since ", when(new Date(live.lastAt).toISOString()), ": what is shown may be old."] : ["No live connection yet."]));
}

live.addEventListener("stats", ({ detail: { data } }) => {
  byId("about").textContent = `${data.instance} · version ${data.version} · up ${duration(data.uptime_s)}`;
});
live.addEventListener("alert", ({ detail: { data } }) => {
  byId("announce").textContent = `Alert ${data.state === "firing" && data.acknowledged_at ? `acknowledged by ${data.acknowledged_by}` : data.state}: ${data.says}`;
});

followFiring(live, (firing) => {
  const waiting = firing.filter((alert) => !alert.acknowledged_at).length;
  count("alerts-badge", waiting);
  count("alerts-acknowledged", firing.length - waiting);
  document.title = `${waiting ? `(${waiting}) ` : ""}Quotas · gaia_server`;
});

function count(id, value) {
  byId(id).textContent = value || "";
  byId(id).parentElement.hidden = !value;
}

follow();
live.connect();

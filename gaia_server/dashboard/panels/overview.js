// Overview: current activity, and the rules.

import * as api from "../api.js";
import { chart, total } from "../charts.js";
import { empty, figure, figures, h, mono, section } from "../dom.js";
import { decimal, duration, megabytes, number, percent, times, when } from "../format.js";
import { perStep } from "../series.js";
import { rules } from "./rules.js";

const MINUTES = 60;
const KEPT_EVENTS = 40;

export function overview({ root, live, guard, signIn, visible, record }) {
  const now = {
    rate: figure("Requests per second", { room: MINUTES }), denied: figure("Denied, last minute", { room: MINUTES, colour: "denied" }),
    ratio: figure("Denial rate, last hour"), rules: figure("Rules in force"), database: figure("Database"),
    memory: figure("Memory", { room: MINUTES }),
  };
  const decisions = chart("Decisions per minute, last hour", [
    { name: "Allowed", colour: "allowed", format: number, sum: total }, { name: "Denied", colour: "denied", format: number, sum: total },
  ], { stacked: true });
  const feed = h("div", { class: "feed", role: "group", "aria-label": "Denied just now", tabindex: 0 });
  const configuration = rules({ guard, signIn, record });
  let events = [];
  let newest = null;  // stats
  root.append(
    figures(now),
    h("div", { class: "columns wide-first" }, section("Decisions per minute, last hour", null, decisions.element),
      section("Denied just now", null, feed)),
    configuration.element);

  live.addEventListener("stats", ({ detail: { data } }) => {
    newest = data;
    showStats(now, data);
    if (visible()) guard(() => Promise.all([history(), configuration.refresh()]));  // others change rules as well
  });
  live.addEventListener("violation", ({ detail: { data } }) => {
    if (!events.some((event) => includes(event, data))) show([{ ...data, fresh: true }, ...events]);
  });

  async function history() {
    const found = await api.get("/analytics", { minutes: MINUTES });
    const columns = perStep(found.decisions, MINUTES, ["admitted", "denied"]);
    decisions.show(...columns);
    showPast(now, found.load, columns[2], newest);
    const { admitted, denied, denied_ratio: ratio } = found.totals;
    now.ratio.set(percent(ratio), `${number(denied)} of ${number(admitted + denied)}`);
  }

  async function past() {
    const before = new Set(events);
    const { items } = await api.get("/violations", { limit: KEPT_EVENTS });
    const since = events.filter((event) => !before.has(event) && !items.some((row) => includes(row, event)));
    show([...since, ...items]);
  }

  function show(found) {
    events = found.slice(0, KEPT_EVENTS);
    feed.replaceChildren(events.length ? h("ol", {}, events.map(item)) : empty("No denied requests", "Denials appear here within a second."));
    events.forEach((event) => { event.fresh = false; });
  }
  return { refresh: () => Promise.all([configuration.refresh(), history(), past()]), restore: configuration.restore };
}

function showStats(now, data) {
  const pool = data.database.pool;
  const up = data.database.status === "connected";
  now.rate.set(decimal(data.requests_per_second), `${number(data.requests)} in ${duration(data.uptime_s)}`);
  now.denied.set(number(data.violations_last_minute), data.alerts.firing.length ? "alert firing" : "", data.alerts.firing.length ? "bad" : "");
  now.rules.set(number(data.rules), data.rate_limiting === "enabled" ? "enforced" : "limiting is off", data.rate_limiting === "enabled" ? "" : "bad");
  now.database.set(up ? "Up" : "Unavailable", `${pool.in_use} of ${pool.max} busy`, up ? "" : "bad");
  now.memory.set(megabytes(data.memory_bytes), `${number(data.websocket_clients)} live ${data.websocket_clients === 1 ? "client" : "clients"}`);
}

// The server's last hour by minute, and the newest value.
function showPast(now, load, denied, newest) {
  now.rate.draw([...load.map((row) => row.requests_per_second), ...(newest ? [newest.requests_per_second] : [])]);
  now.memory.draw([...load.map((row) => row.memory_bytes), ...(newest ? [newest.memory_bytes] : [])]);
  now.denied.draw(denied);
}

// Whether the API's row already counts the refusals that a message is about: a message may come later than its row.
const includes = (row, { rule_id: rule, key, occurred_at: at }) => row.last_at >= at && row.rule_id === rule && row.key === key;

const item = (event) => h("li", { class: event.fresh ? "fresh" : "" }, when(event.last_at ?? event.occurred_at), mono(event.key),
  h("span", { class: "muted grow" }, event.rule_name), h("b", {}, times(event.hits)));

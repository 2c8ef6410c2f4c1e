// Health: the server's health report, and its memory and connections over time.

import * as api from "../api.js";
import { chart, newest } from "../charts.js";
import { facts, h, mark, mono, section } from "../dom.js";
import { decimal, duration, number } from "../format.js";

const EVERY_MS = 5_000;
const KEPT_POINTS = 180;  // 15 min of stats
const CONNECTION = { connected: ["Connected", "good"], reconnecting: ["Reconnecting", "warn"], offline: ["Offline", "bad"] };

export function health({ root, live, guard, visible }) {
  const checks = h("div", {}, h("div", { class: "empty" }, "Loading…"));
  const build = h("div");
  const connection = h("div");
  const memory = chart("Memory in MB since this page opened", [{ name: "Memory, MB", colour: "accent", format: decimal, sum: newest }]);
  const pool = chart("Database connections since this page opened", [
    { name: "Busy", colour: "accent", format: decimal, sum: newest }, { name: "Requests waiting", colour: "denied", format: decimal, sum: newest }]);
  const points = [[], [], [], []];
  root.append(
    h("div", { class: "columns three" }, section("Server", null, checks), section("This page's connection", null, connection), section("Release", null, build)),
    h("div", { class: "columns" }, section("Memory", null, memory.element), section("Database connections", null, pool.element)));
  setInterval(() => { if (visible()) guard(refresh); }, EVERY_MS);
  setInterval(() => { if (visible()) showConnection(); }, 1_000);
  live.addEventListener("state", showConnection);
  live.addEventListener("stats", ({ detail: { data, timestamp } }) => {
    const use = data.database.pool;
    [Date.parse(timestamp) / 1000, data.memory_bytes / 1e6, use.in_use, use.waiting].forEach((value, index) => {
      points[index].push(value);
      if (points[index].length > KEPT_POINTS) points[index].shift();
    });
    memory.show(points[0], points[1]);
    pool.show(points[0], points[2], points[3]);
  });

  function showConnection() {
    connection.replaceChildren(facts([
      ["WebSocket", mark(...CONNECTION[live.state])],
      ["Messages", `${number(live.seq)}, none missing`],
      ["Last message", live.lastAt ? `${duration((Date.now() - live.lastAt) / 1000)} ago` : "none yet"],
      ["Lost since opened", number(live.losses)],
    ]));
  }

  async function refresh() {
    const found = await api.health();
    checks.replaceChildren(facts(state(found)));
    build.replaceChildren(facts(release(found)));
  }
  return { refresh };
}

function state({ status, uptime_s: uptime, checks: { database, rate_limiting: limiting, websocket } }) {
  return [
    ["Server", mark(status, status === "healthy" ? "good" : "bad")],
    ["Database", mark(database.status, database.status === "connected" ? "good" : "bad")],
    ["Connections", `${database.pool.in_use} busy, ${database.pool.size} open, ${database.pool.max} at most`],
    ["Requests waiting", number(database.pool.waiting)],
    ["Rate limiting", mark(limiting.status, limiting.status === "enabled" ? "good" : "warn")],
    ["Live clients", number(websocket.clients)],
    ["Up for", duration(uptime)],
  ];
}

function release({ version, digest, features }) {
  return [
    ["Version", version],
    ["Executable, sha256", digest ? mono(digest) : "none: runs from source"],
    ...Object.entries(features).map(([name, on]) => [mono(name.toUpperCase()), on ? "yes" : "no"]),
  ];
}

// The WebSocket. Comes back by itself: full jitter, at most 30 s apart. A silent connection counts as lost, and one
// that skipped a number too: what was missed is asked for again.

const HEARTBEAT_MS = 10_000;
const STALE_MS = 2.5 * HEARTBEAT_MS;
const FIRST_MS = 1_000;
const MOST_MS = 30_000;
const SERVER_LEAVES = [1001, 1012];  // it stops or restarts; another is there at once

export const backoff = (attempt, random) => random * Math.min(MOST_MS, FIRST_MS * 2 ** attempt);

export class Live extends EventTarget {
  state = "reconnecting";  // connected | reconnecting | offline: it will not come back by itself
  seq = 0;
  lastAt = null;  // ms since the epoch
  losses = 0;
  #socket = null;
  #attempt = 0;
  #silence = null;
  #retry = null;

  connect() {
    clearTimeout(this.#retry);
    this.#socket?.close();
    this.seq = 0;
    this.#say("reconnecting", "Connecting");
    const socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/ws/admin/quotas`);
    this.#socket = socket;
    this.#listen();
    socket.onmessage = (event) => { if (socket === this.#socket) this.#take(JSON.parse(event.data)); };
    socket.onclose = (event) => { if (socket === this.#socket) this.#lost(event.code); };
  }

  #take(message) {
    if (message.seq !== this.seq + 1) { this.#abandon(); return; }
    this.seq = message.seq;
    this.lastAt = Date.now();
    this.#attempt = 0;
    this.#listen();
    this.#say("connected", "Live");
    this.dispatchEvent(new CustomEvent(message.type, { detail: message }));
  }

  #listen() {
    clearTimeout(this.#silence);
    this.#silence = setTimeout(() => this.#abandon(), STALE_MS);
  }

  #abandon() {
    const old = this.#socket;
    this.#socket = null;  // its close comes late, if at all
    old.close();
    this.#lost(0);
  }

  #lost(code) {
    clearTimeout(this.#silence);
    if (this.state === "connected") this.losses += 1;
    if (code >= 4400 && code < 4500) {
      this.#say("offline", code === 4401 ? "Signed out" : "Refused by the server");
      if (code === 4401) this.dispatchEvent(new Event("login"));
      return;
    }
    if (SERVER_LEAVES.includes(code)) this.#attempt = 0;
    const wait = backoff(this.#attempt, Math.random());
    this.#attempt += 1;
    this.#retry = setTimeout(() => this.connect(), wait);
    this.#say("reconnecting", "Reconnecting", Date.now() + wait);
  }

  #say(state, text, until = null) {
    this.state = state;
    this.dispatchEvent(new CustomEvent("state", { detail: { state, text, until } }));
  }
}

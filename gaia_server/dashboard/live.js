// The WebSocket. It reconnects by itself: back-off with full jitter, at most 30 s. A connection that is silent or skips a
// sequence number counts as lost. The URL says which message was the last, and the server sends the violations and alerts since
// then; the page queries the API for the rest.

const HEARTBEAT_MS = 10_000;
const STALE_MS = 2.5 * HEARTBEAT_MS;
const FIRST_MS = 1_000;
const MOST_MS = 30_000;
const SERVER_STOPS = [1001, 1012];  // it stops or restarts; another process serves at once

export const backoff = (attempt, random) => random * Math.min(MOST_MS, FIRST_MS * 2 ** attempt);

export class Live extends EventTarget {
  state = "reconnecting";  // connected | reconnecting | offline: does not reconnect by itself
  seq = 0;
  lastAt = null;  // ms since the epoch
  losses = 0;
  #since = "now";  // the timestamp of the last violation or alert, or that of the server's newest
  #socket = null;
  #attempt = 0;
  #silence = null;
  #retry = null;

  connect() {
    clearTimeout(this.#retry);
    this.#socket?.close();
    this.seq = 0;
    this.#setState("reconnecting", "Connecting");
    const socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/ws/admin/quotas?since=${this.#since}`);
    this.#socket = socket;
    this.#restartSilenceTimer();
    socket.onmessage = (event) => { if (socket === this.#socket) this.#receive(JSON.parse(event.data)); };
    socket.onclose = (event) => { if (socket === this.#socket) this.#lost(event.code); };
  }

  #receive(message) {
    if (message.seq !== this.seq + 1) { this.#abandon(); return; }
    this.seq = message.seq;
    this.lastAt = Date.now();
    this.#attempt = 0;
    this.#remember(message);
    this.#restartSilenceTimer();
    this.#setState("connected", "Live");
    this.dispatchEvent(new CustomEvent(message.type, { detail: message }));
  }

  #remember({ type, timestamp, data }) {
    if (type === "resumed") this.#since = data.since;
    else if (type === "violation" || type === "alert") this.#since = timestamp;
  }

  #restartSilenceTimer() {
    clearTimeout(this.#silence);
    this.#silence = setTimeout(() => this.#abandon(), STALE_MS);
  }

  #abandon() {
    const old = this.#socket;
    this.#socket = null;  // its close event comes late, if at all
    old.close();
    this.#lost(0);
  }

  #lost(code) {
    clearTimeout(this.#silence);
    if (this.state === "connected") this.losses += 1;
    if (code >= 4400 && code < 4500) {
      this.#setState("offline", code === 4401 ? "Signed out" : "Refused by the server");
      if (code === 4401) this.dispatchEvent(new Event("login"));
      return;
    }
    if (SERVER_STOPS.includes(code)) this.#attempt = 0;
    const wait = backoff(this.#attempt, Math.random());
    this.#attempt += 1;
    this.#retry = setTimeout(() => this.connect(), wait);
    this.#setState("reconnecting", "Reconnecting", Date.now() + wait);
  }

  #setState(state, text, until = null) {
    this.state = state;
    this.dispatchEvent(new CustomEvent("state", { detail: { state, text, until } }));
  }
}

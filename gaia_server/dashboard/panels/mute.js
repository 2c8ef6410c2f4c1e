// Mutes an alert rule: for some time, or until a moment.

import * as api from "../api.js";
import { byId, h } from "../dom.js";
import { field, moment, zone } from "../format.js";

const SPANS = [["15 min", 900], ["1 h", 3600], ["8 h", 28_800]];  // seconds
const LONGEST_S = 30 * 86_400;

export const setMute = (rule, seconds) => api.post(`/alerts/rules/${rule.id}/mute`, { for_s: seconds });

// Returns mute(rule), which opens the dialog; calls done() afterwards.
export function makeMute({ signIn, done }) {
  const dialog = byId("mute");
  const form = dialog.querySelector("form");
  const { until } = form.elements;
  let muted = null;
  byId("mute-spans").append(...SPANS.map(([text, seconds]) => h("button", { type: "button", onclick: () => save(seconds) }, text)));
  byId("mute-zone").textContent = zone;
  form.addEventListener("submit", (event) => { event.preventDefault(); saveUntil(); });
  form.querySelector(".cancel").addEventListener("click", () => { until.value = ""; dialog.close(); });

  // What was typed before Escape is still there, unless it is past.
  function mute(rule) {
    muted = rule;
    byId("mute-title").textContent = `Mute ${rule.name}`;
    if (!(left() > 0)) until.value = field(Date.now() + 86_400_000).slice(0, 16);
    problem("");
    dialog.showModal();
  }

  const left = () => (until.value ? Math.ceil((Date.parse(moment(until.value)) - Date.now()) / 1000) : NaN);

  function saveUntil() {
    const seconds = left();
    if (seconds > 0 && seconds <= LONGEST_S) save(seconds);
    else problem(seconds > 0 ? "Give a time within the next 30 days." : "Give a time that is still to come.", true);
  }

  async function save(seconds) {
    problem("");
    try {
      await setMute(muted, seconds);
      until.value = "";
      dialog.close();
      done();
    } catch (error) {
      if (error.status === 401) signIn();
      problem(api.explain(error));
    }
  }

  function problem(text, ofField = false) {
    byId("mute-problem").textContent = text;
    until.toggleAttribute("aria-invalid", ofField);
    if (ofField) until.focus();
  }
  return mute;
}

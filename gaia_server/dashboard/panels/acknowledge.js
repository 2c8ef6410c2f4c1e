// Acknowledges an alert. The first time it requests a name, which this browser keeps.

import * as api from "../api.js";
import { byId, h } from "../dom.js";

const KEPT = "acknowledges";

// done() is called afterwards. Returns button(alert), and an element that shows and changes the kept name.
export function makeAcknowledge({ guard, signIn, done }) {
  const dialog = byId("acknowledge");
  const form = dialog.querySelector("form");
  const { by } = form.elements;
  let alert = null;  // null: only the name is changed
  const who = h("button", { type: "button", class: "link", onclick: () => ask(null) });
  form.addEventListener("submit", (event) => { event.preventDefault(); save(); });
  form.querySelector(".cancel").addEventListener("click", () => dialog.close());
  show();

  function show() {
    const name = localStorage.getItem(KEPT);
    who.textContent = name ? `You acknowledge as ${name}` : "";
    who.hidden = !name;
  }

  function acknowledge(wanted) {
    const name = localStorage.getItem(KEPT);
    if (name) guard.now(async () => { await send(wanted, name); done(); });
    else ask(wanted);
  }

  const send = ({ id }, name) => api.post(`/alerts/${id}/acknowledge`, { by: name });

  function ask(wanted) {
    alert = wanted;
    by.value ||= localStorage.getItem(KEPT) ?? "";
    form.querySelector("[type=submit]").textContent = alert ? "Acknowledge" : "Save name";
    problem("");
    dialog.showModal();
  }

  async function save() {
    const name = by.value.trim();
    problem("");
    if (!name) { problem("Give your name."); return; }
    try {
      if (alert) await send(alert, name);
      localStorage.setItem(KEPT, name);
      dialog.close();
      by.value = "";
      show();
      if (alert) done();
    } catch (error) {
      if (error.status === 401) signIn();
      problem(api.explain(error));
    }
  }

  function problem(text) {
    byId("acknowledge-problem").textContent = text;
    by.toggleAttribute("aria-invalid", Boolean(text));
    if (text) by.focus();
  }

  const button = (wanted) => h("button", { type: "button", class: "quiet", "aria-label": `Acknowledge ${wanted.name}`, onclick: () => acknowledge(wanted) }, "Acknowledge");
  return { button, who };
}

// The form of a rule, of requests or of alerts: what Escape has closed comes back, errors are shown beside their fields, and
// a change of another administrator is not overwritten unasked.

import * as api from "../api.js";
import { byId } from "../dom.js";

// prefix: the id of the dialog, and the beginning of its parts' ids; noun: what is edited; name: its field that names it; path: of
// the API; fresh: a new one. write(fields, value) and read(fields) convert; changed(fields, edited) is called after each
// change; advice: {field: (detail, fields) => what to enter instead}; title(value) describes one; saved(id) is called
// afterwards. Returns the fields, and edit(value): null for a new one, which may start as a copy of another.
export function makeRuleForm({ prefix, noun, name, path, fresh, write, read, changed, advice, title, signIn, saved }) {
  const dialog = byId(prefix);
  const form = dialog.querySelector("form");
  const fields = form.elements;
  const part = (what) => byId(`${prefix}-${what}`);
  let edited = null;
  let typed = false;  // something that is not saved
  let draft = null;  // what Escape has closed: {id, body, version}
  let approved = {};  // what the next save may do: replace another administrator's value, refuse its own author
  form.addEventListener("input", () => { typed = true; approve({ version: approved.version }); changed(fields, edited); });
  form.addEventListener("submit", (event) => { event.preventDefault(); save(); });
  form.querySelector(".cancel").addEventListener("click", () => { typed = false; dialog.close(); });
  part("draft").querySelector("button").addEventListener("click", () => { typed = false; fill(edited); });
  dialog.addEventListener("close", () => { if (typed) draft = { id: edited?.id, body: read(fields), version: approved.version }; });

  // A form that was closed by Escape opens again with what had been typed.
  function edit(value, copied = null) {
    const found = draft?.id === value?.id && !copied ? draft : null;
    if (found) draft = null;
    typed = Boolean(found ?? copied);
    fill(value, found, copied);
    dialog.showModal();
    fields[name].focus();
  }

  function fill(value, found = null, copied = null) {
    edited = value;
    part("draft").hidden = !found;
    part("title").textContent = value ? `Edit ${value[name]}` : `New ${noun}`;
    write(fields, found?.body ?? copied ?? value ?? fresh);
    showErrors([]);
    approve({ version: (found ?? value)?.version });
    changed(fields, edited);
  }

  async function save() {
    const body = read(fields);
    showErrors([]);
    try {
      const { id } = await (edited ? api.replace(`${path}/${edited.id}`, body, approved) : api.create(path, body, approved));
      typed = false;
      dialog.close();
      saved(id);
    } catch (error) {
      if (error.status === 401) signIn();
      if (error.status === 412) ask({ version: error.version }, `Another administrator has changed this ${noun} meanwhile.\nIt is now: “${title(error.current)}”\nYours: “${title(body)}”\nSave again to replace theirs, or cancel.`);
      else if (error.refusesAuthor) ask({ ...approved, confirm: true }, "This rule refuses your own requests, the ones of this page among them. Rules can still be changed here. Save again to set it all the same.");
      else showErrors(error.errors ?? [], api.explain(error));
    }
  }

  function ask(wanted, question) {
    showErrors([], question);
    approve(wanted, "Save anyway");
  }

  function approve(wanted, label = `Save ${noun}`) {
    approved = wanted;
    form.querySelector("[type=submit]").textContent = label;
  }

  // Errors of a field are shown beside it; all others below the form.
  function showErrors(errors, sentence = "") {
    const fieldErrors = errors.filter(({ field }) => field in advice);
    for (const [field, advise] of Object.entries(advice)) {
      const wrong = fieldErrors.find((one) => one.field === field);
      byId(`wrong-${field}`).textContent = wrong ? advise(wrong.detail, fields) : "";
      fields[field].toggleAttribute("aria-invalid", Boolean(wrong));
    }
    part("problem").textContent = fieldErrors.length && fieldErrors.length === errors.length ? "" : sentence;
    form.querySelector("[aria-invalid]")?.focus();
  }
  return { fields, edit };
}

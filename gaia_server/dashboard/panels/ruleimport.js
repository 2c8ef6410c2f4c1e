// The import of rules: reads a file, shows what it would change, and applies all of it or nothing.

import * as api from "../api.js";
import { byId, mark } from "../dom.js";
import { number } from "../format.js";
import * as ruleFile from "../rulefile.js";
import { table } from "../tables.js";
import { summary } from "./limitruleform.js";

const SHOWN = 500;  // changes and errors

// Returns open(); calls done() after an import.
export function makeRuleImport({ signIn, done }) {
  const dialog = byId("import");
  const form = dialog.querySelector("form");
  const { file } = form.elements;
  const submit = form.querySelector("[type=submit]");
  let read = { rules: [], places: [] };  // the file
  let approved = {};  // what the next import may do
  file.addEventListener("change", () => preview());
  form.addEventListener("submit", (event) => { event.preventDefault(); apply(); });
  form.querySelector(".cancel").addEventListener("click", () => dialog.close());

  function open() {
    form.reset();
    show({});
    dialog.showModal();
  }

  async function preview() {
    show({});
    if (!file.files.length) return;
    try {
      read = ruleFile.read(await file.files[0].text());
      const found = await api.importRules(read.rules);
      approved = { version: found.version };
      show({ found, ready: found.created.length + found.changed.length > 0 });
    } catch (error) {
      refused(error);
    }
  }

  async function apply() {
    submit.disabled = true;
    try {
      await api.importRules(read.rules, { apply: true, ...approved });
      dialog.close();
      done();
    } catch (error) {
      if (error.refusesAuthor) {
        approved.confirm = true;
        byId("import-problem").textContent = "One of these rules refuses your own requests, the ones of this page among them. Rules can still be changed here. Apply again to set them all the same.";
        submit.textContent = "Apply anyway";
        submit.disabled = false;
      } else if (error.status === 412) {
        await preview();
        byId("import-problem").textContent = "The rules were changed meanwhile: this is what the import would change now.";
      } else {
        refused(error);
      }
    }
  }

  function refused(error) {
    if (error.status === 401) signIn();
    const wrong = (error.errors ?? []).map((one) => inWords(one, read));
    const more = wrong.length > SHOWN ? [`… and ${number(wrong.length - SHOWN)} more.`] : [];
    show({ problem: wrong.length ? ["Nothing is changed: the file has errors.", ...wrong.slice(0, SHOWN), ...more].join("\n") : api.explain(error) });
  }

  function show({ found = null, ready = false, problem = "" }) {
    const changes = found ? [...found.created.map((after) => ({ after })), ...found.changed] : [];
    byId("import-problem").textContent = problem;
    byId("import-summary").textContent = found ? `${number(found.created.length)} new, ${number(found.changed.length)} changed, ${number(found.unchanged)} as they are.${changes.length > SHOWN ? ` The first ${SHOWN}:` : ""}` : "";
    byId("import-changes").hidden = !changes.length;
    byId("import-changes").replaceChildren(changes.length ? table("What would change", columns, changes.slice(0, SHOWN)).element : "");
    submit.textContent = "Apply";
    submit.disabled = !ready;
  }
  return open;
}

// "rules.3.limit_value" as "Line 5, limit_value".
function inWords({ field, detail }, { places, rules }) {
  const [, index, ...name] = field.split(".");
  const rule = rules[index]?.rule_name;
  return index === undefined ? `${field} ${detail}.` : `${places[index]}${rule ? ` (${rule})` : ""}: ${name.join(".")} ${detail}.`;
}

const columns = [
  { name: "Rule", cell: ({ after }) => after.rule_name },
  { name: "Change", cell: ({ before }) => (before ? mark("Changed", "warn") : mark("New", "good")) },
  { name: "Now", kind: "prose", cell: ({ before }) => (before ? summary(before, null) : "–") },
  { name: "Then", kind: "prose", cell: ({ before = null, after }) => summary(after, before) },
];

// Enables or disables all rules that a filter finds.

import * as api from "../api.js";
import { h } from "../dom.js";
import { number } from "../format.js";
import { agreed } from "../question.js";

const AT_ONCE = 200;  // a page of the API

// filter() -> the parameters of the list; done() is called after a change. show() adapts the buttons to the filter.
export function bulk({ guard, filter, done }) {
  const [on, off] = [true, false].map((enabled) =>
    h("button", { type: "button", hidden: true, onclick: () => guard.now(() => setAll(enabled)) }, enabled ? "Enable found" : "Disable found"));

  // Without a filter they would change every rule.
  function show() {
    const { enabled, ...others } = filter();
    on.hidden = enabled === "true" || !Object.values(others).some(Boolean);
    off.hidden = enabled === "false" || !Object.values(others).some(Boolean);
  }

  async function setAll(enabled) {
    const { items, total } = await api.get("/config", { ...filter(), enabled: !enabled, limit: AT_ONCE });
    if (!items.length || !await agreed(question(enabled, items, total))) return;
    for (const { id } of items) await setOne(id, enabled);
    await done();
  }
  return { elements: [on, off], show };
}

// With the version, so that a change of another administrator meanwhile is not overwritten.
async function setOne(id, enabled) {
  const found = await api.get(`/config/${id}`);
  const { id: _, created_at: __, updated_at: ___, ...rule } = found;
  await api.replace(`/config/${id}`, { ...rule, enabled }, { version: found.version });
}

function question(enabled, items, total) {
  const yes = enabled ? "Enable" : "Disable";
  const count = total > items.length ? `the first ${items.length} of ${number(total)} rules` : `${items.length} ${items.length === 1 ? "rule" : "rules"}`;
  return { title: `${yes} ${count}?`, text: items.map((rule) => rule.rule_name).join(", "), yes };
}

// The filters of lists: the keys of one kind, or one key.

import { h, pick, select } from "./dom.js";

const KINDS = [["", "Every kind"], ["ip", "Addresses"], ["api_key", "API keys"], ["user", "Users"], ["session", "Sessions"], ["global", "Global"]];
const ADDRESS = /^(\d+\.){3}\d+$|:.*:/;

// Completes a key from its value alone: an address, else a key of the selected kind.
export function keyOf(text, kind) {
  if (!text || text === "global" || KINDS.some(([name]) => name && text.startsWith(`${name}:`))) return text;
  return `${kind || (ADDRESS.test(text) ? "ip" : "api_key")}:${text}`;
}

export function keyFilter(changed) {
  const kind = select("Kind of key", KINDS, "", () => changed());
  const text = h("input", {
    type: "search", "aria-label": "Key", placeholder: "ip:192.0.2.7", spellcheck: "false", maxlength: 250, autocomplete: "off",
    onchange: () => changed(), onsearch: () => changed(),
  });
  const key = () => keyOf(text.value.trim(), kind.value);
  return {
    element: [kind, text],
    parameters: () => ({ key: key(), scope: kind.value }),
    state: () => ({ kind: kind.value, key: text.value.trim() }),  // for the address
    restore({ kind: wanted = "", key: typed = "" }) {
      pick(kind, wanted);
      text.value = typed;
    },
    summary: () => (key() ? `for ${key()}` : kind.value ? `for ${kind.selectedOptions[0].textContent.toLowerCase()}` : ""),
  };
}

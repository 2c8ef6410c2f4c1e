// Files of rules, as exported: CSV with a heading, or JSON. Pure.

import { parse } from "./csv.js";

export const FIELDS = ["rule_name", "scope", "scope_value", "limit_type", "limit_value", "resource_type", "enabled"];

// Returns {rules, places}: where each rule stands in the file, in words. Throws a sentence about a file that has no rules.
export function read(content) {
  return /^\s*[[{]/.test(content) ? ofJson(content) : ofCsv(content);
}

function ofJson(content) {
  let found = null;
  try {
    found = JSON.parse(content);
  } catch (error) {
    throw `The file is not JSON: ${error.message}.`;
  }
  const rules = Array.isArray(found) ? found : found.rules;
  if (!Array.isArray(rules)) throw 'The file has no list of rules: give {"rules": […]}, as exported.';
  return { rules, places: rules.map((rule, index) => `Rule ${index + 1}`) };
}

function ofCsv(content) {
  const [heading, ...rows] = parse(content.replace(/^\uFEFF/, ""));
  const names = heading?.cells ?? [];
  const unknown = names.filter((name) => !FIELDS.includes(name));
  if (!names.includes("rule_name") || unknown.length) {
    throw `Line 1 is not a heading of rules${unknown.length ? `: ${unknown.join(", ")}` : ""}. Its columns can be ${FIELDS.join(", ")}.`;
  }
  const uneven = rows.find(({ cells }) => cells.length !== names.length);
  if (uneven) throw `Line ${uneven.line} has ${uneven.cells.length} cells, not ${names.length} as the heading.`;
  return {
    rules: rows.map(({ cells }) => Object.fromEntries(names.map((name, index) => [name, value(name, cells[index])]).filter(([, given]) => given !== undefined))),
    places: rows.map(({ line }) => `Line ${line}`),
  };
}

// What cannot be converted is sent as it is: the server says what is wrong with it.
function value(name, text) {
  if (["scope_value", "resource_type"].includes(name)) return text || null;
  if (name === "enabled") return { true: true, false: false, "": undefined }[text.toLowerCase()] ?? (text || undefined);
  return name === "limit_value" && /^\d+$/.test(text) ? Number(text) : text;
}

// Lists as CSV files, and the rows of one.

import { Refusal } from "./api.js";

const PAGE = 200;
const MOST = 10_000;  // rows

const cell = (value) => (/[",\r\n]/.test(value) ? `"${String(value).replaceAll('"', '""')}"` : String(value ?? ""));
const text = (rows) => rows.map((row) => `${row.map(cell).join(",")}\r\n`).join("");

// columns: {name: value(row)}; load({limit, offset}) -> a page of the API.
export async function download(file, columns, load) {
  const lines = [Object.keys(columns), ...(await all(load)).map((row) => Object.values(columns).map((value) => value(row)))];
  save(file, text(lines), "text/csv");
}

export async function all(load) {
  const rows = [];
  for (let total = 1; rows.length < Math.min(total, MOST);) {
    const page = await patiently(() => load({ limit: PAGE, offset: rows.length }));
    if (!page.items.length) break;
    rows.push(...page.items);
    total = page.total;
  }
  return rows;
}

export function save(file, content, type) {
  const url = URL.createObjectURL(new Blob([content], { type }));
  Object.assign(document.createElement("a"), { href: url, download: file }).click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

// This page has a rate limit as well: a long list waits for it.
async function patiently(load) {
  for (;;) {
    try {
      return await load();
    } catch (error) {
      if (!(error instanceof Refusal && error.status === 429)) throw error;
      await new Promise((resolve) => { setTimeout(resolve, 1000 * error.retryAfter); });
    }
  }
}

// Returns [{line, cells}] of the rows that are not empty (RFC 4180); a quoted cell may contain line breaks.
export function parse(content) {
  const rows = [];
  let [line, row] = [1, { line: 1, cells: [] }];
  for (const [, quoted, plain, end] of content.matchAll(/(?:"((?:[^"]|"")*)"|([^,\r\n]*))(,|\r?\n|$)/g)) {
    row.cells.push(quoted?.replaceAll('""', '"') ?? plain);
    line += (quoted?.match(/\n/g) ?? []).length;
    if (end === ",") continue;
    if (row.cells.some(Boolean)) rows.push(row);
    row = { line: line += 1, cells: [] };
  }
  return rows;
}

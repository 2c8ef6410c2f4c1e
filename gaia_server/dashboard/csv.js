// A list of the API as a CSV file, page by page.

import { Refusal } from "./api.js";

const PAGE = 200;
const MOST = 10_000;  // rows

const cell = (value) => (/[",\r\n]/.test(value) ? `"${String(value).replaceAll('"', '""')}"` : String(value ?? ""));
const text = (rows) => rows.map((row) => `${row.map(cell).join(",")}\r\n`).join("");

// columns: {name: value(row)}; load({limit, offset}) -> a page.
export async function download(file, columns, load) {
  const rows = [];
  for (let total = 1; rows.length < Math.min(total, MOST);) {
    const page = await patiently(() => load({ limit: PAGE, offset: rows.length }));
    if (!page.items.length) break;
    rows.push(...page.items);
    total = page.total;
  }
  const lines = [Object.keys(columns), ...rows.map((row) => Object.values(columns).map((value) => value(row)))];
  const url = URL.createObjectURL(new Blob([text(lines)], { type: "text/csv" }));
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

// Tables, and paged lists of the API.

import { h } from "./dom.js";
import { number } from "./format.js";

const narrow = matchMedia("(max-width: 760px)");  // as in the style: a row takes several lines
const pageSize = () => (narrow.matches ? 10 : 25);
const COUNTED = 10_000;  // the server counts rows up to this number

// columns: [{name, kind?, cell(row)}]; on a narrow screen each cell is below the name of its column.
export function table(label, columns, rows = []) {
  const body = h("tbody", {}, rows.map((row) => line(columns, row)));
  const head = h("tr", {}, columns.map((column) => h("th", { scope: "col", class: column.kind }, column.name)));
  const element = h("div", { class: "scroll" }, h("table", { "aria-label": label }, h("thead", {}, head), body));
  return { element, body };
}

const line = (columns, row) => h("tr", { "data-id": row.id },
  columns.map((column) => h("td", { class: column.kind, "data-label": column.name || null }, h("span", {}, column.cell(row)))));

// A redrawn row keeps the focus of its button, so that the keyboard does not start from the top again.
function keepFocus(body, redraw) {
  const focused = body.contains(document.activeElement) ? document.activeElement.ariaLabel : null;
  redraw();
  if (focused) [...body.querySelectorAll("button")].find((one) => one.ariaLabel === focused)?.focus();
}

// load({limit, offset}) -> a page; nothing() -> the element for an empty list; turned(page) is called after each turn to a
// page, by a person or a filter. Unchanged pages are not redrawn.
export function pagedList({ label, columns, guard, load, nothing, turned = () => {} }) {
  let offset = 0;
  let requested = 0;
  let shown = null;
  const { element: grid, body } = table(label, columns);
  const instead = h("div", { class: "empty" }, "Loading…");
  const place = h("span", { role: "status" });
  const back = h("button", { type: "button", onclick: () => turn(offset - pageSize()) }, "Previous");
  const on = h("button", { type: "button", onclick: () => turn(offset + pageSize()) }, "Next");
  const pager = h("div", { class: "pager" }, place, back, on);
  const element = h("div", { class: "list" }, grid, instead, pager);
  grid.hidden = pager.hidden = true;

  async function refresh() {
    const ticket = ++requested;
    const page = await load({ limit: pageSize(), offset });
    if (ticket !== requested) return;  // a newer request was sent
    if (page.total && !page.items.length) {
      offset = pageSize() * Math.floor((page.total - 1) / pageSize());
      await refresh();
      return;
    }
    show(page);
  }

  function show(page) {
    const text = JSON.stringify(page);
    if (text === shown) return;
    shown = text;
    const last = offset + page.items.length;
    grid.hidden = !page.total;
    instead.hidden = Boolean(page.total);
    pager.hidden = page.total <= pageSize();
    if (!page.total) instead.replaceChildren(nothing());
    keepFocus(body, () => body.replaceChildren(...page.items.map((row) => line(columns, row))));
    place.textContent = `${number(offset + 1)}–${number(last)} of ${number(page.total)}${page.total < COUNTED ? "" : " or more"}`;
    back.disabled = offset === 0;
    on.disabled = last >= page.total;
  }

  async function turn(to) {
    startAt(to);
    await guard(refresh);
    turned(1 + Math.floor(offset / pageSize()));
  }

  function startAt(to) {
    offset = Math.max(to, 0);
    shown = null;
  }
  return { element, refresh, turn, open: (page) => startAt(pageSize() * (page - 1)), get first() { return offset === 0; } };
}

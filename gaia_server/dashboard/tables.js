// Tables, and paged lists of the API.

import { h } from "./dom.js";
import { number } from "./format.js";

const narrow = matchMedia("(max-width: 760px)");  // as in the style: a row takes several lines
const pageSize = () => (narrow.matches ? 10 : 25);
const COUNTED = 10_000;  // the server counts rows up to this number

// columns: [{name, kind?, sort?, cell(row)}]; on a narrow screen each cell is below the name of its column. With onsort(sort)
// the columns that have a name to sort by are buttons.
export function table(label, columns, rows = [], onsort = null) {
  const body = h("tbody", {}, rows.map((row) => line(columns, row)));
  const name = ({ name: text, sort }) => (sort && onsort ? h("button", { type: "button", class: "sort", onclick: () => onsort(sort) }, text) : text);
  const heads = columns.map((column) => h("th", { scope: "col", class: column.kind }, name(column)));
  const element = h("div", { class: "scroll" }, h("table", { "aria-label": label }, h("thead", {}, h("tr", {}, heads)), body));
  const markSort = (sort) => columns.forEach((column, index) => {
    const direction = { [column.sort]: "ascending", [`-${column.sort}`]: "descending" }[sort];
    if (direction) heads[index].setAttribute("aria-sort", direction);
    else heads[index].removeAttribute("aria-sort");
  });
  // A redrawn row keeps the focus of its button, which may be another one now, so that the keyboard does not start from the
  // top again.
  function show(shown) {
    const focused = body.contains(document.activeElement) ? document.activeElement : null;
    const buttons = (within) => [...within.querySelectorAll("button")];
    const old = focused?.closest("tr");
    const place = old && buttons(old).indexOf(focused);
    body.replaceChildren(...shown.map((row) => line(columns, row)));
    if (!old) return;
    const same = [...body.rows].find((row) => row.dataset.id && row.dataset.id === old.dataset.id);
    (buttons(body).find((one) => one.ariaLabel === focused.ariaLabel) ?? (same && buttons(same)[place]))?.focus();
  }
  return { element, show, markSort };
}

const line = (columns, row) => h("tr", { "data-id": row.id },
  columns.map((column) => h("td", { class: column.kind, "data-label": column.name || null }, h("span", {}, column.cell(row)))));

// load({limit, offset, sort}) -> a page; nothing() -> the element for an empty list; turned(page, sort) is called after each
// turn to a page, by a person or a filter. Unchanged pages are not redrawn.
export function pagedList({ label, columns, guard, load, nothing, turned = () => {} }) {
  let offset = 0;
  let requested = 0;
  let shown = null;
  let sort = "";  // the name of a column, with a minus sign for descending; "" for the list's own order
  const rows = table(label, columns, [], (name) => sortBy(sort === name ? `-${name}` : sort === `-${name}` ? "" : name));
  const instead = h("div", { class: "empty" }, "Loading…");
  const place = h("span", { role: "status" });
  const back = h("button", { type: "button", onclick: () => turn(offset - pageSize()) }, "Previous");
  const on = h("button", { type: "button", onclick: () => turn(offset + pageSize()) }, "Next");
  const pager = h("div", { class: "pager" }, place, back, on);
  const element = h("div", { class: "list" }, rows.element, instead, pager);
  rows.element.hidden = pager.hidden = true;

  async function refresh() {
    const ticket = ++requested;
    const page = await load({ limit: pageSize(), offset, sort });
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
    rows.element.hidden = !page.total;
    instead.hidden = Boolean(page.total);
    pager.hidden = page.total <= pageSize();
    if (!page.total) instead.replaceChildren(nothing());
    rows.show(page.items);
    place.textContent = `${number(offset + 1)}–${number(last)} of ${number(page.total)}${page.total < COUNTED ? "" : " or more"}`;
    back.disabled = offset === 0;
    on.disabled = last >= page.total;
  }

  async function turn(to) {
    startAt(to);
    await guard(refresh);
    turned(1 + Math.floor(offset / pageSize()), sort);
  }

  function startAt(to) {
    offset = Math.max(to, 0);
    shown = null;
  }

  function sortBy(wanted) {
    setSort(wanted);
    return turn(0);
  }

  // A name that no column has is the list's own order.
  function setSort(wanted) {
    sort = columns.some((column) => column.sort && [column.sort, `-${column.sort}`].includes(wanted)) ? wanted : "";
    rows.markSort(sort);
  }

  function open(page, wanted = "") {
    setSort(wanted);
    startAt(pageSize() * (page - 1));
  }
  return { element, refresh, turn, open, get first() { return offset === 0; }, get sort() { return sort; } };
}

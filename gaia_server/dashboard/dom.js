// Elements. Every value that a client can choose is inserted as text, never as markup.

export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  element.append(...children.flat().filter((child) => child != null));
  return element;
}

export const byId = (id) => document.getElementById(id);
export const mono = (text) => h("span", { class: "mono" }, text);
export const link = (address, ...content) => h("a", { href: address }, ...content);
export const mark = (text, kind) => h("span", { class: `mark ${kind}` }, text[0].toUpperCase() + text.slice(1));
export const empty = (what, why) => h("div", { class: "empty" }, h("strong", {}, what), why);

// A part of a panel: a heading with its tools, and the content below.
export function section(title, tools, ...body) {
  return h("section", {}, h("div", { class: "head" }, h("h2", {}, title), tools && h("div", { class: "tools" }, tools)), ...body);
}

export function select(label, options, chosen, onchange) {
  return h("select", { "aria-label": label, onchange }, choices(options, chosen));
}

export function choices(options, chosen) {
  return options.map(([value, text]) => h("option", { value, selected: value === chosen }, text));
}

// Sets a choice that may not exist: then the first one.
export function pick(select, value) {
  select.value = value;
  if (select.selectedIndex < 0) select.selectedIndex = 0;
}

export function facts(pairs) {
  return h("dl", { class: "facts" }, pairs.flatMap(([name, ...value]) => [h("dt", {}, name), h("dd", {}, ...value)]));
}

export function meter(used, most, text) {
  return h("progress", { max: Math.max(most, 1), value: Math.min(used, most), class: used >= most ? "full" : "", "aria-label": text });
}

// One number of a row of figures. With `room` for so many values, draw(values) draws a sparkline below it.
export function figure(name, { room = 0, colour = "allowed" } = {}) {
  const value = h("dd", { class: "value" }, "–");
  const detail = h("dd", { class: "detail" });
  const line = room ? sparkline() : null;
  const element = h("div", { class: `figure ${colour}` }, h("dt", {}, name), value, detail, line?.element);
  function set(text, more = "", kind = "") {
    value.textContent = text;
    value.dataset.kind = kind;
    detail.textContent = more;
  }
  return { element, set, draw: (values) => line.draw(values.slice(-room), room) };
}

export const figures = (all) => h("dl", { class: "figures" }, Object.values(all).map((one) => one.element));

const SVG = "http://www.w3.org/2000/svg";

function sparkline() {
  const element = document.createElementNS(SVG, "svg");
  const line = document.createElementNS(SVG, "polyline");
  element.setAttribute("viewBox", "0 0 100 24");
  element.setAttribute("preserveAspectRatio", "none");
  element.setAttribute("aria-hidden", "true");
  element.append(line);
  return { element, draw: (past, room) => line.setAttribute("points", points(past, room)) };
}

// The newest at the right edge; from 0 to the highest.
function points(past, room) {
  const top = Math.max(...past, 1e-9);
  return past.map((value, index) => `${100 - (100 * (past.length - 1 - index)) / (room - 1)},${23 - (22 * value) / top}`).join(" ");
}

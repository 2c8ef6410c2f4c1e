// A choice of time: one of several spans up to now, or from one moment to another.

import { h, pick, select } from "./dom.js";
import { field, moment } from "./format.js";

const RANGE = "range";

// spans: [[value, name]], `usual` is the value of one; changed() is called after a choice.
export function timeRange(spans, usual, changed) {
  const span = select("Time", [...spans, [RANGE, "From – to"]], usual, () => { show(); changed(); });
  const [from, to] = ["From", "To"].map((label) => h("input", { type: "datetime-local", "aria-label": label, step: 1, hidden: true, onchange: changed }));
  const show = () => [from, to].forEach((one) => { one.hidden = span.value !== RANGE; });

  function restore({ time = usual, from: first = "", to: last = "" }) {
    pick(span, time);
    [from.value, to.value] = [first, last];
    show();
  }
  return {
    elements: [span, from, to],
    restore,
    between: (start, end) => restore({ time: RANGE, from: field(start), to: field(end) }),  // ms since the epoch
    state: () => ({ time: span.value, ...(span.value === RANGE ? { from: from.value, to: to.value } : {}) }),  // for the address
    get span() { return span.value === RANGE ? null : span.value; },
    get from() { return moment(from.value); },  // ISO times, "" if open
    get to() { return moment(to.value); },
  };
}

// Charts over time, drawn by uPlot in the page's colours. The legend shows the totals, or the values under the cursor.
/* global uPlot */

import { h } from "./dom.js";
import { short, tick, zone } from "./format.js";

const HEIGHT = 210;
const WHOLE = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12].flatMap((zeros) => [1, 2, 5].map((digit) => digit * 10 ** zeros));
const dark = matchMedia("(prefers-color-scheme: dark)");
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

// series: [{name, colour, format(value), sum(values)}], bottom first; `stacked`: stacked bars instead of lines.
// show(times, ...values): times in seconds since the epoch, one array per series. zoom(from, to), likewise, after a drag.
export function chart(label, series, { stacked = false, zoom = null } = {}) {
  const place = h("div", { class: "plot", role: "img", "aria-label": label });
  const moment = h("span", { class: "moment" });
  const values = series.map(() => h("b"));
  const legend = h("div", { class: "legend", "aria-hidden": "true" }, moment,
    series.map((one, index) => h("span", { class: `key ${one.colour}` }, one.name, " ", values[index])));
  let plot = null;
  let shown = [[], ...series.map(() => [])];

  function draw() {
    plot?.destroy();
    plot = new uPlot(options(place.clientWidth, series, stacked, updateLegend, zoom), drawn(shown, stacked), place);
  }
  function updateLegend(index) {
    moment.textContent = index == null ? "" : tick(shown[0][index], 1);
    series.forEach((one, row) => {
      const found = index == null ? one.sum(shown[row + 1]) : shown[row + 1][index];
      values[row].textContent = found == null ? "–" : one.format(found);
    });
  }
  function show(...columns) {
    shown = columns;
    plot?.setData(drawn(shown, stacked));
    updateLegend(plot?.cursor.idx ?? null);
    place.setAttribute("aria-label", `${label}: ${series.map((one, row) => `${one.name} ${values[row].textContent}`).join(", ")}`);
  }
  new ResizeObserver(() => {
    if (!place.clientWidth) return;  // its tab is not shown
    if (plot) plot.setSize({ width: place.clientWidth, height: HEIGHT });
    else draw();
  }).observe(place);
  dark.addEventListener("change", () => { if (plot) draw(); });
  return { element: h("div", { class: "chart" }, legend, place), show };
}

export const total = (values) => (values.length ? values.reduce((sum, value) => sum + value) : null);
export const newest = (values) => values.at(-1);

// Stacked bars: the tallest is drawn first, each next one covers its lower part.
function drawn([times, ...values], stacked) {
  if (!stacked) return [times, ...values];
  const sums = values.map((_, row) => times.map((__, index) => total(values.slice(0, row + 1).map((one) => one[index]))));
  return [times, ...sums.reverse()];
}

// The range of a time axis: all times, at least a minute, so that a line has a start.
export const span = (times, more = 0) => (times.length ? [Math.min(times[0], times.at(-1) - 60), times.at(-1) + more] : [null, null]);
const step = (times) => (times.length > 1 ? times[1] - times[0] : 60);

function options(width, series, stacked, onCursor, zoom) {
  const font = `11px ${getComputedStyle(document.body).fontFamily}`;
  const axis = { stroke: colour("muted"), font, ticks: { show: false } };
  const bars = uPlot.paths.bars({ size: [0.72, 22], align: 1 });
  const order = stacked ? [...series].reverse() : series;
  return {
    width, height: HEIGHT, padding: [8, 26, 0, 0],
    tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), zone),
    legend: { show: false },
    cursor: { y: false, points: { show: !stacked }, drag: { setScale: false, x: Boolean(zoom) } },
    scales: { x: { time: true, range: (plot) => span(plot.data[0], stacked ? step(plot.data[0]) : 0) }, y: { range: (_, __, high) => [0, Math.max(high ?? 0, 1) * 1.08] } },
    axes: [
      { ...axis, grid: { show: false }, size: 26, values: (_, ticks, __, ___, step) => ticks.map((one) => (one > Date.now() / 1000 ? "" : tick(one, step))) },  // the last bar ends in the future
      { ...axis, grid: { stroke: colour("line"), width: 1 }, size: 46, incrs: WHOLE, values: (_, ticks) => ticks.map(short) },
    ],
    series: [{}, ...order.map((one) => ({
      stroke: colour(one.colour), width: stacked ? 0 : 1.75, points: { show: (plot) => !stacked && plot.data[0].length === 1 },  // a single value is not a line
      fill: stacked ? colour(one.colour) : undefined, paths: stacked ? bars : undefined,
    }))],
    hooks: {
      setCursor: [(plot) => onCursor(plot.cursor.idx)],
      setSelect: [(plot) => { if (plot.select.width) dragged(plot, zoom); }],
    },
  };
}

function dragged(plot, zoom) {
  const { left, width } = plot.select;
  plot.setSelect({ left: 0, width: 0 }, false);
  zoom(plot.posToVal(left, "x"), plot.posToVal(left + width, "x"));
}

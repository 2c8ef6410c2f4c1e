// The API's rows per minute, hour or day as columns for a chart. Pure except for the default of `now`.

// A step without a row has no decisions. Returns [times in s, values per name], oldest first,
// summed over `step` minutes; a step starts at a multiple of its length since the epoch. The first step is the one that
// the last `minutes` begin in, so that the columns add up to the API's totals.
export function perStep(rows, minutes, names, step = 1, now = Date.now()) {
  const length = step * 60;
  const floor = (seconds, unit) => Math.floor(seconds / unit) * unit;
  const first = floor(floor(now / 1000, 60) - (minutes - 1) * 60, length);
  const count = (floor(now / 1000, length) - first) / length + 1;
  const at = (index) => first + index * length;
  const columns = names.map(() => new Array(count).fill(0));
  for (const row of rows) {
    const index = Math.floor((Date.parse(row.start) / 1000 - first) / length);
    if (index >= 0 && index < count) names.forEach((name, column) => { columns[column][index] += row[name]; });
  }
  return [Array.from({ length: count }, (_, index) => at(index)), ...columns];
}

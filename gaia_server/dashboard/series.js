// The API's rows per minute, hour or day as columns for a chart. Pure except for the default of `now`.

// A step without a row has no decisions. Returns [times in s, values per name], oldest first,
// summed over `step` minutes; a step starts at a multiple of its length since the epoch.
export function perStep(rows, minutes, names, step = 1, now = Date.now()) {
  const length = step * 60;
  const end = Math.floor(now / 1000 / length) * length;
  const count = Math.ceil(minutes / step);
  const at = (index) => end - (count - 1 - index) * length;
  const columns = names.map(() => new Array(count).fill(0));
  for (const row of rows) {
    const index = Math.floor((Date.parse(row.start) / 1000 - at(0)) / length);
    if (index >= 0 && index < count) names.forEach((name, column) => { columns[column][index] += row[name]; });
  }
  return [Array.from({ length: count }, (_, index) => at(index)), ...columns];
}

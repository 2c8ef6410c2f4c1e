// The periods of time that analytics show. Pure.

const MINUTE_MS = 60_000;
const LONGEST = 90 * 24 * 60;  // minutes, as in the API
const STEPS = { minute: 1, hour: 60, day: 1440 };  // minutes

// What so many minutes can be summed up by, the default first: a page stays light.
export function periods(minutes) {
  if (minutes <= 360) return ["minute"];
  if (minutes <= 1440) return ["hour", "minute"];
  return minutes <= 10_080 ? ["hour", "day"] : ["day", "hour"];
}

export const step = (period) => STEPS[period];

// The whole minutes that touch [from, to): their number, and the moment before their end, in ms since the epoch.
export function covering(from, to) {
  const end = Math.ceil(to / MINUTE_MS);
  const minutes = Math.min(Math.max(end - Math.floor(from / MINUTE_MS), 1), LONGEST);
  return { minutes, until: end * MINUTE_MS - 1 };
}

// As many minutes before those.
export const before = ({ minutes, until }) => ({ minutes, until: until - minutes * MINUTE_MS });

export const start = ({ minutes, until }) => until + 1 - minutes * MINUTE_MS;

// Human-readable values. Times are in the chosen zone, with UTC on hover.

import { h } from "./dom.js";

const NUMBER = new Intl.NumberFormat("en");
const SHORT = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });
const PLAIN = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });

export const number = (value) => NUMBER.format(value);
export const decimal = (value) => PLAIN.format(value);
// Also right when more was counted than a limit allows that was lowered meanwhile.
export const share = (value, most) => `${number(value)}${value > most ? ", above" : " of"} ${number(most)}`;
export const short = (value) => SHORT.format(value);  // 1,200,000 as 1.2M
export const megabytes = (bytes) => `${PLAIN.format(bytes / 1e6)} MB`;
export const percent = (ratio) => (ratio == null ? "–" : `${(100 * ratio).toFixed(2)} %`);
// How much larger or smaller than an old value, "" if that was zero.
export const change = (value, old) => (old ? `, ${value < old ? "−" : "+"}${PLAIN.format((100 * Math.abs(value - old)) / old)} %` : "");
export const times = (count) => `${number(count)}×`;

// Each is rounded to the smaller unit that it shows.
export function duration(seconds) {
  const [s, m, hours] = [1, 60, 3600].map((length) => Math.round(seconds / length));
  if (hours >= 24) return `${Math.floor(hours / 24)} d ${hours % 24} h`;
  if (m >= 60) return `${Math.floor(m / 60)} h ${m % 60} min`;
  return s >= 60 ? `${Math.floor(s / 60)} min ${s % 60} s` : `${s} s`;
}

// The zone is chosen for this browser; a change loads the page again.
const LOCAL = Intl.DateTimeFormat().resolvedOptions().timeZone;
export const zone = globalThis.localStorage?.getItem("zone") === "UTC" ? "UTC" : LOCAL;
export const zones = [...new Set([LOCAL, "UTC"])];
export const chooseZone = (name) => { localStorage.setItem("zone", name); location.reload(); };
const inZone = { timeZone: zone };
const day = (moment) => moment.toLocaleDateString("en-GB", inZone);

const utc = (moment) => `${moment.toISOString().slice(0, 19).replace("T", " ")} UTC`;

export function when(text) {
  const moment = new Date(text);
  const today = day(moment) === day(new Date());
  const options = today ? {} : { day: "numeric", month: "short" };
  const shown = moment.toLocaleString("en-GB", { ...inZone, ...options, hour: "2-digit", minute: "2-digit", second: "2-digit" });
  return h("time", { datetime: text, title: utc(moment) }, shown);
}

export function until(text) {
  const moment = new Date(text);
  const left = (moment - Date.now()) / 1000;
  return h("time", { datetime: text, title: utc(moment) }, left > 0 ? `in ${duration(Math.max(left, 1))}` : "now");
}

// The ISO time of a field of local time, "" for an empty one.
export const moment = (text) => (text ? new Date(`${text}${zone === LOCAL ? "" : "Z"}`).toISOString() : "");

// The value of a field of local time, of a time in ms.
export const field = (ms) => new Date(ms).toLocaleString("sv-SE", inZone).replace(" ", "T");

const clock = { ...inZone, hour: "2-digit", minute: "2-digit" };

// A tick of a time axis whose ticks are `step` seconds apart.
export function tick(seconds, step = 60) {
  const moment = new Date(seconds * 1000);
  if (step > 86400) return moment.toLocaleDateString("en-GB", { ...inZone, day: "numeric", month: "short" });
  if (step === 86400) return moment.toLocaleDateString("en-GB", { ...inZone, weekday: "short", day: "numeric" });
  return moment.toLocaleTimeString("en-GB", step < 60 ? { ...clock, second: "2-digit" } : clock);
}

export const WHOLE_LIMIT = "a whole number from 0 to 1,000,000,000";  // what the API accepts as a limit

const UNITS = {
  requests_per_second: "second", requests_per_minute: "minute", requests_per_hour: "hour",
  daily_quota: "day", weekly_quota: "week", monthly_quota: "month",
};
export const LIMIT_TYPES = Object.entries(UNITS);
export const unit = (limitType) => UNITS[limitType] ?? limitType;
export const limit = (row) => `${number(row.limit_value)} per ${unit(row.limit_type)}`;

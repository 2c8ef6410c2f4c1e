// What another limit of a rule would have denied, below the form of the rule.

import * as api from "../api.js";
import { byId } from "../dom.js";
import { number } from "../format.js";

const TYPING_MS = 250;
const WINDOWS = {
  requests_per_second: "In the last second", requests_per_minute: "In the last minute", requests_per_hour: "In the last hour",
  daily_quota: "Since the day began in UTC", weekly_quota: "Since the week began in UTC", monthly_quota: "Since the month began in UTC",
};

// Returns preview(rule, limit); without a rule nothing is shown.
export function makeRulePreview() {
  const place = byId("rule-preview");
  let typing = null;
  let requested = 0;

  async function request(rule, limit) {
    const ticket = ++requested;
    let text = "";
    try {
      text = inWords(await api.get(`/config/${rule.id}/preview`, { limit_value: limit }));
    } catch (error) {
      if (error.status !== 422) text = `What this limit would have denied is not known: ${api.explain(error)}`;  // 422: beside the field when it is saved
    }
    if (ticket === requested) show(text);
  }

  function show(text) {
    place.textContent = text;
    place.hidden = !text;
  }

  return (rule, limit) => {
    clearTimeout(typing);
    requested += 1;
    show("");
    if (rule && limit !== null) typing = setTimeout(() => request(rule, limit), TYPING_MS);
  };
}

function inWords({ limit_type: type, clients, clients_over: over, admitted, refused_at_least: refused }) {
  const allowed = `${WINDOWS[type]} it allowed ${number(admitted)} ${admitted === 1 ? "request" : "requests"} of ${number(clients)} ${clients === 1 ? "client" : "clients"}`;
  const denied = refused ? `this limit would have denied at least ${number(refused)}, of ${number(over)} ${over === 1 ? "client" : "clients"}` : "none is known that this limit would have denied";
  return `${allowed}; ${denied}. The server keeps no more of each client than that.`;
}

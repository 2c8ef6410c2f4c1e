// The alerts that fire now, from the live messages, newest first.

// changed(alerts) is called after each message about them.
export function followFiring(live, changed) {
  let now = [];
  const set = (alerts) => {
    now = alerts.sort((one, other) => other.id - one.id);
    changed(now);
  };
  live.addEventListener("stats", ({ detail: { data } }) => set([...data.alerts.firing]));
  live.addEventListener("alert", ({ detail: { data } }) => {
    set([...now.filter(({ id }) => id !== data.id), ...(data.state === "firing" ? [data] : [])]);
  });
}

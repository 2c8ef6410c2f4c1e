// The tab and its filters in the address, as "#violations?kind=ip&page=2": reload, links and the back button keep them.

export function read() {
  const [tab, query = ""] = location.hash.slice(1).split("?");
  return { tab, parameters: Object.fromEntries(new URLSearchParams(query)) };
}

// Empty parameters and the first page are left out.
export function fragment(tab, parameters) {
  const given = Object.entries(parameters).filter(([name, value]) => value !== "" && !(name.endsWith("page") && value === 1));
  return `#${tab}${given.length ? `?${new URLSearchParams(given)}` : ""}`;
}

export const pageOf = (text) => (/^[1-9]\d{0,4}$/.test(text) ? Number(text) : 1);

// Requests to the API. An error response becomes a Refusal with its problem details.

const HOME = "/api/admin/quotas";

export class Refusal extends Error {
  constructor(status, problem, retryAfter, version) {
    super(problem?.detail ?? `the server answered ${status}`);
    this.status = status;
    this.errors = problem?.errors ?? [];  // [{field, detail}]
    this.retryAfter = retryAfter;  // seconds
    this.refusesAuthor = problem?.type === "urn:gaia-server:refuses-its-author";
    this.current = problem?.current;  // of a 412: the value that another administrator has set, and its version
    this.version = version;
  }

  get sentence() {
    const fields = this.errors.map((error) => `${error.field} ${error.detail}`);
    const text = [this.message, ...fields].join("; ");
    const retry = this.status === 429 ? `; try again in ${this.retryAfter} s` : "";
    return `${text[0].toUpperCase()}${text.slice(1)}${retry}.`;
  }
}

export const explain = (error) =>
  (error instanceof Refusal ? error.sentence : error instanceof TypeError ? "The server does not answer." : String(error));

async function send(method, path, body, version) {
  const options = { method, credentials: "same-origin", cache: "no-store", headers: {} };
  if (version) options.headers["If-Match"] = version;
  if (body !== undefined) {
    options.headers["Content-Type"] = "application/json";
    options.body = JSON.stringify(body);
  }
  const response = await fetch(path, options);
  const answer = parse(await response.text());
  const found = response.headers.get("ETag");
  if (response.ok && answer && found) Object.defineProperty(answer, "version", { value: found });
  if (response.ok || (path === "/health" && answer)) return answer;  // an unhealthy server answers 503 with a body
  throw new Refusal(response.status, answer, Math.max(Number(response.headers.get("Retry-After")) || 1, 1), found);
}

function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;  // no body, or a proxy's error page
  }
}

function query(parameters) {
  const given = Object.entries(parameters).filter(([, value]) => value !== "" && value != null);
  return given.length ? `?${new URLSearchParams(given)}` : "";
}

export const get = (path, parameters = {}) => send("GET", `${HOME}${path}${query(parameters)}`);
// confirm: the rule may refuse its own author; version: the one that the change is based on.
export const create = (path, body, { confirm } = {}) => send("POST", `${HOME}${path}${query({ confirm })}`, body);
export const post = (path, body) => send("POST", `${HOME}${path}`, body);
// Without `apply`: what the rules would change.
export const importRules = (rules, { apply, confirm, version } = {}) => send("POST", `${HOME}/config/import${query({ apply, confirm })}`, { rules }, version);
export const replace = (path, body, { confirm, version } = {}) => send("PUT", `${HOME}${path}${query({ confirm })}`, body, version);
export const remove = (path, { version } = {}) => send("DELETE", `${HOME}${path}`, undefined, version);
export const health = () => send("GET", "/health");
export const login = (token) => send("POST", "/admin/login", { token });

"""The worked example of docs/targets.md: what names cannot express of the server in tests/stranger."""

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from gaia_checks.contract.adapter import Adapter, HttpAnswer, HttpRequest

API = "/api/admin/quotas"
LIMITS = {
    "requests_per_second": "LimitPerSecond", "requests_per_minute": "LimitPerMinute",
    "requests_per_hour": "LimitPerHour", "daily_quota": "LimitPerDay", "weekly_quota": "LimitPerWeek",
    "monthly_quota": "LimitPerMonth",
}  # fmt: skip
LISTS = ("user_specific_rules", "executions", "violations")
STATS = {
    "refusals": "violations_last_minute", "active": "rules", "listeners": "websocket_clients", "up": "uptime_s",
}  # fmt: skip
ROUTES = {"rules": "config", "executions": "usage", "analytics/system": "analytics"}
FILTERS = {"rule_id", "key", "scope", "enabled", "search", "since", "until"}  # over there, lists have none
QUOTA = re.compile(r"(\S+) max=(\d+) per=(\d+) left=(\d+) more=(\d+) at=(\d+)")


class Stranger(Adapter):
    """Rules are addressed by ?ID=, limits stand in X-Quota, users sign in and are named by headers of its own."""

    def request(self, request: HttpRequest) -> HttpRequest:
        """A rule's limit type is the name of its field; a key is a user."""
        headers = dict(request.headers)
        if key := headers.pop("X-API-Key", None):
            headers["X-User-ID"] = key
        if token := headers.pop("Authorization", None):
            headers["X-Admin-Session"] = token.removeprefix("Bearer ")
        path = re.sub(rf"^{API}/config/([^?]+)", rf"{API}/config?ID=\1", request.path)
        if filters(request):
            path = f"{path.partition('?')[0]}?limit={10**9}"
        body = to_rule(request.body) if isinstance(request.body, dict) else request.body
        return replace(request, path=path, headers=headers, body=body)

    def answer(self, request: HttpRequest, answer: HttpAnswer) -> HttpAnswer:
        """Lists and rules have other shapes, errors one text; a new rule is answered 200 and a removed one too."""
        headers = {**answer.headers, **limit_headers(answer)}
        if answer.status >= 400:
            return problem(replace(answer, headers=headers))
        if request.method == "DELETE":
            return HttpAnswer(204, headers)
        body, status = answer.body, answer.status
        if request.path == "/health":
            body = {**body, "version": body["build"], "digest": body["sum"], "checks": {"database": database(body)}}
        if isinstance(body, dict) and "rule" in body:
            body = from_rule(body["rule"])
            if request.method == "POST":
                status, headers["location"] = 201, f"{API}/config/{body['id']}"
        for name in LISTS:
            if isinstance(body, dict) and name in body:
                total = body["total_rules"] if "total_rules" in body else body["total"]
                body = page(request, [from_rule(item) for item in body[name]], total)
        if isinstance(body, dict) and "minutes" in body:
            body = analytics(body, filters(request), parsedate_to_datetime(answer.headers["date"]))
        return HttpAnswer(status, headers, body)

    def message(self, message: dict[str, Any]) -> dict[str, Any]:
        """A ping is the heartbeat; an alert is on or off."""
        data = dict(message["data"])
        if "phase" in data:
            data["state"] = {"on": "firing", "off": "resolved"}[data["phase"]]
        if message["type"] == "stats":
            data["alerts"] = {"firing": [{}] if data["firing"] else []}
            data |= {ours: data[theirs] for theirs, ours in STATS.items()}
        if message["type"] == "violation":
            data |= {"key": f"api_key:{data['scope_value']}", "hits": 1}
        return {**message, "type": {"ping": "heartbeat"}.get(message["type"], message["type"]), "data": data}

    def reply(self, message: dict[str, Any]) -> dict[str, Any] | None:
        """Clients answer a ping."""
        return {"kind": "pong"} if message["type"] == "ping" else None


def to_rule(body: dict[str, Any]) -> dict[str, Any]:
    """Return a rule in its shape; what it has no place for stays, for it to refuse."""
    rest = {name: value for name, value in body.items() if name not in ("limit_type", "limit_value")}
    if rest.get("scope") == "api_key":
        del rest["scope"]
    return {**rest, LIMITS.get(str(body.get("limit_type")), "LimitPer"): body.get("limit_value")}


def filters(request: HttpRequest) -> dict[str, str]:
    """Return the filters of a list, and the parameters of the analytics, with its page; empty without a filter."""
    query = dict(parse_qsl(urlsplit(request.path).query))
    given = query.keys() & (FILTERS | {"minutes"})
    return query if request.method == "GET" and given else {}


def page(request: HttpRequest, items: list[dict[str, Any]], total: int) -> dict[str, Any]:
    """Return a page of a list; a list with filters came as a whole."""
    if not (wanted := filters(request)):
        return {"items": items, "total": total}
    found = [item for item in items if all(fits(item, *each) for each in wanted.items())]
    first = int(wanted.get("offset", 0))
    return {"items": found[first : first + int(wanted.get("limit", 50))], "total": len(found)}


def fits(item: Mapping[str, Any], name: str, value: str) -> bool:
    """Return whether an item of a list passes a filter."""
    if name == "search":
        return any(value.lower() in str(item[part]).lower() for part in ("rule_name", "scope_value"))
    if name in ("since", "until"):
        at, bound = datetime.fromisoformat(item["occurred_at"]), datetime.fromisoformat(value)
        return at >= bound if name == "since" else at < bound
    return name not in FILTERS or str(item[name]).lower() == value.lower()


def analytics(body: Mapping[str, Any], query: Mapping[str, str], now: datetime) -> dict[str, Any]:
    """Return what was decided in the requested minutes, by time, route and rule."""
    first_s = now.timestamp() // 60 * 60 - 60 * (int(query.get("minutes", 60)) - 1)
    rows = [row for row in body["minutes"] if row["At"] >= first_s]
    size_s = 3600 if query.get("per") == "hour" else 60
    starts = sorted({row["At"] // size_s * size_s for row in rows})
    routes = sorted({row["Route"] for row in rows})
    decided = counts(rows)
    whole = decided["admitted"] + decided["denied"]
    hits = sum(rule["Times"] for rule in body["rules"])
    return {
        "totals": {**decided, "denied_ratio": decided["denied"] / whole if whole else None},
        "decisions": [
            {"start": time(start_s), **counts([row for row in rows if row["At"] // size_s * size_s == start_s])}
            for start_s in starts
        ],
        "by_resource": [
            {"resource": ROUTES.get(route, route), **counts([row for row in rows if row["Route"] == route])}
            for route in routes
        ],
        "by_scope": [{"scope": "api_key", **decided}],
        "by_rule": [
            {**rule, "hits": rule["Times"], "keys": 1, "share": rule["Times"] / hits} for rule in body["rules"]
        ],
    }


def counts(rows: list[dict[str, Any]]) -> dict[str, int]:
    """Return how many requests passed and how many were refused."""
    summed = {
        outcome: sum(row["Requests"] for row in rows if row["Outcome"] == outcome) for outcome in ("passed", "refused")
    }
    return {"admitted": summed["passed"], "denied": summed["refused"]}


def time(at_s: float) -> str:
    """Return a time as the contract writes it."""
    return datetime.fromtimestamp(at_s, UTC).isoformat()


def from_rule(rule: dict[str, Any]) -> dict[str, Any]:
    """Return a rule, or an item of another list, in the contract's shape."""
    found = [(ours, rule[theirs]) for ours, theirs in LIMITS.items() if theirs in rule]
    typed = {"limit_type": found[0][0], "limit_value": found[0][1], "scope": "api_key"} if found else {}
    if found and "rule_id" in rule:
        typed["key"] = f"api_key:{rule['scope_value']}"
    if "Free" in rule:
        typed |= {"effective_limit": found[0][1], "resets_at": time(rule["Free"])}
    if "Times" in rule:
        typed |= {"hits": rule["Times"], "occurred_at": time(rule["Second"]), "last_at": time(rule["Last"])}
        typed["resource_type"] = ROUTES.get(rule["Route"], rule["Route"])
    return {**rule, **typed}


def database(body: dict[str, Any]) -> dict[str, str]:
    """Return the check of the database in /health."""
    return {"status": "connected" if body["store"] == "up" else "down"}


def problem(answer: HttpAnswer) -> HttpAnswer:
    """Return an error as problem details."""
    headers = {**answer.headers, "content-type": "application/problem+json"}
    title = answer.body["error"] if isinstance(answer.body, dict) else ""
    return HttpAnswer(answer.status, headers, {"title": title, "status": answer.status})


def limit_headers(answer: HttpAnswer) -> dict[str, str]:
    """Return the contract's headers for the limits in X-Quota; none without it."""
    found = [(name, *map(int, rest)) for name, *rest in QUOTA.findall(answer.headers.get("x-quota", ""))]
    if not found:
        return {}
    _, most, _, left, _, at_s = min(found, key=lambda one: one[3])
    headers = {
        "ratelimit-policy": ", ".join(f'"{name}";q={most};w={per}' for name, most, per, *_ in found),
        "ratelimit": ", ".join(f'"{name}";r={left};t={more}' for name, _, _, left, more, _ in found),
        "x-ratelimit-limit": str(most),
        "x-ratelimit-remaining": str(left),
        "x-ratelimit-reset": str(at_s),
    }
    if answer.status == 429:
        headers["retry-after"] = str(max(1, *(more for _, _, _, left, more, _ in found if left == 0), 1))
    return headers

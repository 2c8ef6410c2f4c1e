"""The worked example of docs/targets.md: what names cannot express of the server in tests/stranger."""

import re
from dataclasses import replace
from typing import Any

from gaia_checks.contract.adapter import Adapter, HttpAnswer, HttpRequest

API = "/api/admin/quotas"
LIMITS = {
    "requests_per_second": "LimitPerSecond", "requests_per_minute": "LimitPerMinute",
    "requests_per_hour": "LimitPerHour", "daily_quota": "LimitPerDay", "weekly_quota": "LimitPerWeek",
    "monthly_quota": "LimitPerMonth",
}  # fmt: skip
LISTS = ("user_specific_rules", "executions", "violations")
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
                body = {"items": [from_rule(item) for item in body[name]], "total": total}
        return HttpAnswer(status, headers, body)

    def message(self, message: dict[str, Any]) -> dict[str, Any]:
        """A ping is the heartbeat; an alert is on or off."""
        data = dict(message["data"])
        if "phase" in data:
            data["state"] = {"on": "firing", "off": "resolved"}[data["phase"]]
        if message["type"] == "stats":
            data["alerts"] = {"firing": [{}] if data["firing"] else []}
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


def from_rule(rule: dict[str, Any]) -> dict[str, Any]:
    """Return a rule, or an item of another list, in the contract's shape."""
    found = [(ours, rule[theirs]) for ours, theirs in LIMITS.items() if theirs in rule]
    typed = {"limit_type": found[0][0], "limit_value": found[0][1], "scope": "api_key"} if found else {}
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

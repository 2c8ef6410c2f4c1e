"""Run it: `python -m tests.stranger PORT TOKEN [fault ...]`.

Faults: over-admission, fails-open (its limiter sometimes breaks, and the request passes), bare-refusals (429 without a
header), missing-route, quiet-drop, dead-hub, tired-hub (dead once a soak's clients have left), open-door (no login),
any-origin (of WebSockets), forwarded-for (believed: a user is counted for each address), hard-coded (what is left of a
limit).
"""

import asyncio
import contextlib
import json
import sys
import time
from collections.abc import Collection
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import uvicorn
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from tests.stranger.limits import Limits, Refused

API = "/api/admin/quotas"
_ALERT_ABOVE = 100
_LARGEST_BODY = 64 * 1024
_QUIET_S = 4.0  # of the fault quiet-drop
_SOAK = 50  # clients, after which the hub of the fault tired-hub dies
_BROKEN = 7  # of the fault fails-open: one decision in so many


class Stranger:
    """The server's state and handlers."""

    def __init__(self, token: str, faults: Collection[str]) -> None:
        self.token, self.faults = token, faults
        self.limits = Limits(faults)
        self.clients: set[asyncio.Queue[tuple[str, dict[str, Any]]]] = set()
        self.requests, self.left, self.alerting = 0, 0, False
        self.started_s = time.monotonic()

    async def health(self, _: Request) -> Response:
        """Answer the health check."""
        return JSONResponse({"status": "healthy", "build": "3.2.0", "sum": "0" * 64, "store": "up"})

    async def spec(self, _: Request) -> Response:
        """Describe the routes."""
        routes = ("rules", "executions", "violations", "analytics/system")
        return JSONResponse({"openapi": "3.1.0", "paths": {f"{API}/{route}": {} for route in routes}})

    async def api(self, request: Request) -> Response:
        """Answer everything below the API."""
        if "open-door" not in self.faults and request.headers.get("X-Admin-Session") != self.token:
            return error(401, "sign in first")
        if foreign(request.headers):
            return error(403, "not from here")
        self.requests += 1
        admitted, quota, refusing = self._decide(request)
        if not admitted:
            self._push_refusals(refusing)
            answer: Response = error(429, "too many requests")
        else:
            answer = await self._routed(request)
        if quota and "bare-refusals" not in self.faults:
            answer.headers["X-Quota"] = quota
        return answer

    def _decide(self, request: Request) -> tuple[bool, str, list[dict[str, Any]]]:
        if "fails-open" in self.faults and self.requests % _BROKEN == 0:
            return True, "", []
        address = request.headers.get("X-Forwarded-For", "") if "forwarded-for" in self.faults else ""
        user, route = request.headers.get("X-User-ID", ""), request.url.path.removeprefix(f"{API}/")
        return self.limits.decide(user, time.time(), address, route)

    async def _routed(self, request: Request) -> Response:
        name = request.url.path.removeprefix(f"{API}/")
        known = {"rules", "executions", "violations", "analytics/system", "status"}
        if name not in known or (name == "executions" and "missing-route" in self.faults):
            return error(404, "no such route")
        if request.method != "GET" and name != "rules":
            return error(405, "read only")
        try:
            return await self._rules(request) if name == "rules" else self._read(request, name)
        except Refused as refused:
            return error(refused.status, str(refused))

    async def _rules(self, request: Request) -> Response:
        identity = request.query_params.get("ID")
        if request.method == "POST":
            return JSONResponse({"rule": self.limits.put(await parsed(request))})
        if identity is None and request.method == "GET":
            named = request.query_params.get("Name")
            found = [rule for rule in self.limits.rules.values() if named in (None, rule["Name"])]
            page = {"global_rules": [], "user_specific_rules": paged(request, found), "total_rules": len(found)}
            return JSONResponse(page)
        if not (identity or "").isdecimal() or int(identity or 0) not in self.limits.rules:
            raise Refused(404, "no such rule")
        if request.method == "DELETE":
            self.limits.remove(int(identity or 0))
            return JSONResponse({"deleted": identity})
        if request.method == "PUT":
            return JSONResponse({"rule": self.limits.put(await parsed(request), int(identity or 0))})
        return JSONResponse({"rule": self.limits.rules[int(identity or 0)]})

    def _read(self, request: Request, name: str) -> Response:
        if name == "executions":
            used = self.limits.used(time.time())
            return JSONResponse({"executions": paged(request, used), "total": len(used)})
        if name == "violations":
            newest = self.limits.refused[::-1]
            return JSONResponse({"violations": paged(request, newest), "total": len(newest)})
        return JSONResponse({"total_requests": self.requests, **self.limits.statistics()})

    # live

    async def live(self, websocket: WebSocket) -> None:
        """Push to one client until it leaves."""
        await websocket.accept()
        if websocket.headers.get("X-Admin-Session") != self.token:
            await websocket.close(4401)
            return
        if "any-origin" not in self.faults and foreign(websocket.headers):
            await websocket.close(4403)
            return
        queue: asyncio.Queue[tuple[str, dict[str, Any]]] = asyncio.Queue()
        self.clients.add(queue)
        beat, received = (asyncio.create_task(work) for work in (self._beat(queue), self._receive(websocket)))
        with contextlib.suppress(WebSocketDisconnect, RuntimeError):
            await self._send(websocket, queue)
        beat.cancel()
        received.cancel()
        self.clients.discard(queue)
        self.left += 1

    async def _receive(self, websocket: WebSocket) -> None:
        with contextlib.suppress(WebSocketDisconnect):
            while True:  # what clients send is read, and otherwise ignored
                await websocket.receive_text()

    async def _send(self, websocket: WebSocket, queue: Any) -> None:
        number, began_s = 0, time.monotonic()
        while True:
            kind, payload = await queue.get()
            if "quiet-drop" in self.faults and time.monotonic() - began_s > _QUIET_S:
                await websocket.close(1000)
                return
            number += 1
            when = datetime.now(UTC).isoformat()
            await websocket.send_text(json.dumps({"kind": kind, "n": number, "when": when, "payload": payload}))

    async def _beat(self, queue: Any) -> None:
        for tick in range(10**9):
            if self._hub_lives():
                if tick % 5 == 0:
                    queue.put_nowait(("stats", self._stats()))
                if tick % 10 == 9:
                    queue.put_nowait(("ping", {}))
                self._alert()
            await asyncio.sleep(0.9)

    def _stats(self) -> dict[str, Any]:
        return {
            "requests": self.requests,
            "refusals": self.limits.refused_within_a_minute(time.time()),
            "active": sum(rule["Active"] for rule in self.limits.rules.values()),
            "listeners": len(self.clients),
            "up": time.monotonic() - self.started_s,
            "firing": self.alerting,
        }

    def _hub_lives(self) -> bool:
        return "dead-hub" not in self.faults and ("tired-hub" not in self.faults or self.left <= _SOAK)

    def _push_refusals(self, refusing: list[dict[str, Any]]) -> None:
        for rule in refusing:
            self._push("violation", {"RuleID": rule["ID"], "UserID": rule["UserID"]})
        self._alert()

    def _alert(self) -> None:
        firing = self.limits.refused_within_a_minute(time.time()) > _ALERT_ABOVE
        if firing != self.alerting:
            self.alerting = firing
            self._push("alert", {"name": "violations", "phase": "on" if firing else "off"})

    def _push(self, kind: str, payload: dict[str, Any]) -> None:
        for queue in self.clients if self._hub_lives() else ():
            queue.put_nowait((kind, payload))

    def app(self) -> Starlette:
        """Return the application."""
        methods = ["GET", "POST", "PUT", "DELETE"]
        return Starlette(
            routes=[
                Route("/health", self.health),
                Route("/openapi.json", self.spec),
                Route(f"{API}/{{name:path}}", self.api, methods=methods),
                WebSocketRoute("/ws/admin/quotas", self.live),
            ]
        )


def foreign(headers: Headers) -> bool:
    """Whether a page of another site sent this."""
    return urlsplit(headers.get("Origin", f"//{headers['Host']}")).netloc != headers["Host"]


def error(status: int, text: str) -> JSONResponse:
    """Return an error in its words."""
    return JSONResponse({"error": text}, status)


async def parsed(request: Request) -> Any:
    """Return the JSON in a body. Raises Refused."""
    if int(request.headers.get("Content-Length", "0")) > _LARGEST_BODY:
        raise Refused(413, "too much")
    try:
        return await request.json()
    except (ValueError, RecursionError):
        raise Refused(400, "no JSON") from None


def paged(request: Request, items: list[Any]) -> list[Any]:
    """Return the requested part of a list. Raises Refused."""
    values = [request.query_params.get("limit", "50"), request.query_params.get("offset", "0")]
    if not all(map(str.isdecimal, values)):
        raise Refused(400, "limit and offset are numbers")
    limit, offset = map(int, values)
    return items[offset : offset + limit]


if __name__ == "__main__":
    port, token, *chosen = sys.argv[1:]
    uvicorn.run(Stranger(token, chosen).app(), host="127.0.0.1", port=int(port), log_level="warning", access_log=False)

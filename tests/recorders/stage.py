"""Runs one recorder in a test, and its server."""

import asyncio
import contextlib
import itertools
import json
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from gaia_checks import jsonl
from gaia_checks.model import Measurement, Target
from gaia_checks.recorders.base.timeline import Timeline
from gaia_checks.target.responses import CONFIG
from gaia_checks.target.ws_messages import PATH

_CALM = {"name": "a", "value": 0, "threshold": 100}

Record = Callable[..., Coroutine[Any, Any, list[Measurement]]]


def run(record: Record, target: Target, folder: Path, **parameters: float) -> dict[str, Measurement]:
    """Record to the end and return the measurements by name."""
    timeline = Timeline(folder, "look", parameters["window_s"])

    async def recorded() -> list[Measurement]:
        return await record(target, timeline, asyncio.Event(), **parameters)

    return {observed.name: observed for observed in asyncio.run(recorded())}


def timeline_of(folder: Path, look: str = "look") -> list[dict[str, Any]]:
    """The records of a timeline."""
    return list(jsonl.read(folder / "timelines" / f"{look}.jsonl"))


class Server:
    """A server's live WebSocket and rules, correct by default. Time runs faster: a beat is 0.1 s."""

    def __init__(
        self,
        *,
        beats: Callable[[int, int], bool] = lambda _client, _beat: True,
        drops: Callable[[int, int], bool] = lambda _client, _beat: False,
        deaf: Callable[[int], bool] = lambda _client: False,
        created: int = 201,
        enforced: bool = True,
        alerts: bool = True,
        firing_until_beat: int = 0,
        resolves: bool = True,
        loses: Callable[[str], bool] = lambda _key: False,
    ) -> None:
        """Set at which (client, beat) stats are sent or the client is dropped, and which clients get no events.

        Violations of a key that it `loses` are not pushed; without `resolves` a fired alert fires for ever.
        """
        self.beats, self.drops, self.deaf = beats, drops, deaf
        self.created, self.enforced, self.alerts, self.firing_until_beat = created, enforced, alerts, firing_until_beat
        self.resolves, self.loses = resolves, loses
        self.clients: list[asyncio.Queue[str]] = []
        self.rules: dict[int, dict[str, Any]] = {}
        self.rule_requests: list[str] = []  # requests that changed rules
        self.admitted, self.refused = set[str](), 0

    @property
    def routes(self) -> list[BaseRoute]:
        """What it serves."""
        return [
            Route(CONFIG, self.config, methods=["GET", "POST"]),
            Route(CONFIG + "/{id:int}", self.remove, methods=["DELETE"]),
            WebSocketRoute(PATH, self.live),
        ]

    async def live(self, websocket: WebSocket) -> None:
        """Send beats and events until the client disconnects."""
        await websocket.accept()
        beating = asyncio.create_task(self._beat(websocket))
        with contextlib.suppress(WebSocketDisconnect):
            await websocket.receive_text()
        beating.cancel()
        await asyncio.wait([beating])

    async def _beat(self, websocket: WebSocket) -> None:
        number, events, seq = len(self.clients), asyncio.Queue[str](), 0
        self.clients.append(events)
        for beat in itertools.count():
            kinds = ["stats", "heartbeat"] if self.beats(number, beat) else []
            fires = beat < self.firing_until_beat or (self.refused > 100 and not self.resolves)
            alerts = {"firing": [{"name": "a"}] if fires else [], "watched": [] if self.resolves else [_CALM]}
            for text in [_message(kind, {"alerts": alerts}) for kind in kinds] + _drained(events):
                seq += 1
                await websocket.send_text(text.replace('"seq": 0', f'"seq": {seq}'))
            await asyncio.sleep(0.1)
            if self.drops(number, beat):
                await websocket.close(4000, "seeded")
                return

    async def config(self, request: Request) -> Response:
        """Create a rule, or answer a request by the existing rules."""
        if request.method == "POST":
            rule, number = await request.json(), 7 + len(self.rules)
            self.rule_requests.append(f"POST {rule['rule_name']}")
            if self.created == 201:
                self.rules[number] = rule
            return JSONResponse({"id": number, **rule}, self.created)
        key = request.headers["X-API-Key"]
        if any(rule["scope_value"] == key for rule in self.rules.values()) and self.enforced and key in self.admitted:
            self.refused += 1
            if not self.loses(key):
                self._tell("violation", {"key": f"api_key:{key}"})
            if self.refused == 101 and self.alerts:
                self._tell("alert", {"state": "firing"})
            return Response(status_code=429, headers={"Retry-After": "60"})
        self.admitted.add(key)
        return JSONResponse({"items": [], "total": 0})

    async def remove(self, request: Request) -> Response:
        """Delete a rule."""
        self.rule_requests.append("DELETE")
        self.rules.pop(request.path_params["id"])
        return Response(status_code=204)

    def _tell(self, kind: str, data: dict[str, Any]) -> None:
        for number, events in enumerate(self.clients):
            if not self.deaf(number):
                events.put_nowait(_message(kind, data))


def _message(kind: str, data: dict[str, Any]) -> str:
    return json.dumps({"type": kind, "timestamp": "2026-11-23T12:00:00.000Z", "seq": 0, "data": data})


def _drained(events: "asyncio.Queue[str]") -> list[str]:
    return [events.get_nowait() for _ in range(events.qsize())]

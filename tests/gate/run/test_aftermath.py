"""What a gate leaves of its target: a server that its looks have broken fails in the last look."""

import contextlib
import json
from pathlib import Path

import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gaia_checks.deploy.supervisor.spawn import free_port
from gaia_checks.gate.run import aftermath
from gaia_checks.probes import websocket
from gaia_checks.target.responses import CONFIG
from tests.probes.servers import HEALTHY, answering, real, serving, target
from tests.support import patched
from tests.support.patched import Change

LOOKS = {"websocket": {"stats_within_s": 0.5, "heartbeat_within_s": 1.0, "tolerance_s": 1.0}}
NAMES = ("gate.health_after", "gate.api_after", "gate.websocket_after")
CLIENTS = 51  # as many as a soak has, with the one that reconnects

HUB, LIVE = "gaia_server/push/hub.py", "gaia_server/live.py"
JOINED, LEFT, PUBLISHED = (
    "clients: set[Client] = field(default_factory=set)\n",
    "        self.clients.discard(client)\n",
    "        clients = list(self.clients)\n",
)
QUICK: tuple[Change, ...] = (
    (LIVE, "STATS_S = 5.0", "STATS_S = 0.5"),
    (LIVE, "HEARTBEAT_S = 10.0", "HEARTBEAT_S = 1.0"),
    (HUB, JOINED, f"{JOINED}    count: int = 0\n"),
)
DIES: tuple[Change, ...] = (
    (HUB, LEFT, f"{LEFT}        self.count += 1\n"),
    (HUB, PUBLISHED, f"        if self.count >= {CLIENTS}:\n            raise asyncio.CancelledError\n{PUBLISHED}"),
)
"""What broadcasts ends by an exception once the 51st client has left."""

SLEEPS: tuple[Change, ...] = (
    (HUB, LEFT, f"{LEFT}        self.count += not self.clients\n"),
    (HUB, PUBLISHED, f"        if self.count:\n            return\n{PUBLISHED}"),
)
"""Nothing is sent any more once the last client has left, although others come."""

TIRES: tuple[Change, ...] = (
    (HUB, PUBLISHED, f"        self.count += 1\n        if self.count > 3:\n            return\n{PUBLISHED}"),
)
"""Broadcasts stop after three messages."""


@pytest.mark.parametrize(
    ("fault", "wrong"), [((), None), (DIES, "1 of 2 stats"), (SLEEPS, "1 of 2 stats"), (TIRES, "1 of 2 stats")]
)
def test_a_hub_that_dies_after_the_soak_is_found(
    postgres: str, tmp_path: Path, fault: tuple[Change, ...], wrong: str | None
) -> None:
    """A client still connects, and gets the first stats from its own handler; the others never come."""
    program, migrations = patched.source(tmp_path, *QUICK, *fault)
    with (
        patched.migrated(postgres, "aftermath", migrations) as dsn,
        real(program, dsn, tmp_path / "server.log") as server,
    ):
        with contextlib.ExitStack() as soak:
            first, *_ = [soak.enter_context(websocket.connected(server)) for _ in range(CLIENTS)]
            for _ in range(4):
                first.recv(timeout=5)
        pushes, api = (aftermath.measure(f"gate.{name}_after", server, LOOKS) for name in ("websocket", "api"))
    assert (api.value, api.n) == (True, 1), api
    assert (pushes.value, pushes.n) == (wrong is None, 1), pushes
    assert wrong is None or f"{wrong} came within" in pushes.notes[0]


def test_one_slow_answer_is_not_what_the_gate_broke() -> None:
    """A busy machine delayed it; the next one is good."""
    statuses = iter([503])

    async def answer(_: Request) -> Response:
        return Response(json.dumps(HEALTHY), next(statuses, 200), media_type="application/json")

    with serving(Route("/health", answer)) as url:
        health = aftermath.measure("gate.health_after", target(url), LOOKS)
    assert (health.value, health.notes) == (True, ())


def test_a_server_that_no_longer_serves_is_found() -> None:
    """Health and API name the fault of the one answer; a refusal by the server's own limits decides nothing."""

    async def refuse(_: Request) -> Response:
        return Response(status_code=429, headers={"Retry-After": "60"})

    with serving(answering("/health", HEALTHY, 503), Route(CONFIG, refuse)) as url:
        health, api, pushes = (aftermath.measure(name, target(url), LOOKS) for name in NAMES)
    assert (health.value, health.notes) == (False, ("status 503 instead of 200",))
    assert (api.n, api.notes) == (0, (f"not checked: GET {CONFIG}: the server's own limits refuse the gate",))
    assert pushes.notes[0].startswith("/ws/admin/quotas: no connection: ")
    gone = target(f"http://127.0.0.1:{free_port()}")
    for name in NAMES:
        measured = aftermath.measure(name, gone, LOOKS)
        assert (measured.value, measured.n) == (False, 1), measured
        assert "refused" in measured.notes[0]

"""The health probe checks the body, not only the status 200."""

import asyncio
import itertools
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gaia_checks.deploy.supervisor.spawn import free_port
from gaia_checks.errors import TargetUnreachable
from gaia_checks.model import Measurement, Target
from gaia_checks.probes import health
from gaia_checks.target import client
from tests.probes.conftest import migrated
from tests.probes.servers import HEALTHY, answering, real, serving, target
from tests.support import altered_server, plain_http
from tests.support.ground import until

FULL = {"status": "connected", "pool": {"size": 2, "in_use": 0, "waiting": 0, "max": 10}}


def look(at: Target, requests: int = 4, spacing_s: float = 0.0) -> Measurement:
    """Run the probe and return its one measurement."""
    (observed,) = health.probe(at, requests=requests, spacing_s=spacing_s)
    assert observed.name == "health.good"
    return observed


def test_the_real_server_is_healthy_every_time(server: Target) -> None:
    """All answers of the real server are good, without notes, also those of checks at the same time."""
    observed = look(server, requests=10)
    assert (observed.value, observed.n, observed.notes) == (11 + health.AT_ONCE, 11 + health.AT_ONCE, ())


def test_an_uptime_longer_than_the_process_lives_is_wrong(postgres: str, tmp_path: Path) -> None:
    """An uptime that is the difference of two clocks is no uptime."""
    mixed = ("app_state.py", "return time.monotonic() - self.started", "return time.time() - self.started")
    program = altered_server.write(tmp_path / "mixed", mixed)
    with migrated(postgres) as dsn, real(program, dsn, tmp_path / "log") as at:
        observed = look(at)
        elsewhere = look(replace(at, process=None))
    assert (observed.value, observed.n) == (0, 4)
    assert "but the process started" in observed.notes[0]
    assert elsewhere.value == elsewhere.n, "without the process its age is unknown"


def idle(at: Target) -> bool:
    """Whether the swapped pool of a server shows that its own work at the start is done."""
    pool = plain_http.get(f"{at.base_url}/health").json()["checks"]["database"]["pool"]
    return bool(pool["in_use"] == pool["size"])


def test_a_pool_that_is_full_at_rest_and_free_while_busy_is_wrong(postgres: str, tmp_path: Path) -> None:
    """The free connections were taken for those in use: an idle server looks busy, a busy one free."""
    swapped = ("storage/store.py", 'size - found.get("pool_available", 0)', 'found.get("pool_available", 0)')
    program = altered_server.write(tmp_path / "swapped", swapped)
    with migrated(postgres) as dsn, real(program, dsn, tmp_path / "log") as at:
        until(lambda: idle(at))
        observed = look(at)
    assert (observed.n - observed.value, observed.n) == (1, 5 + health.AT_ONCE)
    assert "connections are in use in most of 8 answers, and " in observed.notes[0]


@pytest.mark.parametrize(
    ("member", "said"),
    [
        ({"features": None}, "features is None, not an object of switches"),
        ({"features": {"ai": "on"}}, "features is {'ai': 'on'}, not an object of switches"),
        ({"checks": {"database": FULL, "rate_limiting": {}}}, "checks.websocket is None, not an object"),
    ],
)
def test_a_body_that_reports_its_pool_must_be_complete(member: dict[str, Any], said: str) -> None:
    """Whoever reads a switch there fails without it; a server that reports less is not judged on it."""
    whole = {**HEALTHY, "checks": {"database": FULL, "rate_limiting": {}, "websocket": {}}, "features": {"ai": True}}
    with serving(answering("/health", whole)) as url:
        assert look(target(url)).notes == ()
    with serving(answering("/health", {**whole, **member})) as url:
        observed = look(target(url))
    assert (observed.value, observed.n, observed.notes[0]) == (0, 4, f"request 1: {said}")


def test_a_check_during_another_one_is_answered_alike() -> None:
    """Of several monitors none reports an outage because another one checks, too."""
    served, together = itertools.count(), asyncio.Barrier(health.AT_ONCE)

    async def handle(_: Request) -> Response:
        if next(served) < 4:
            return JSONResponse(HEALTHY)
        return JSONResponse(HEALTHY, 503 if await together.wait() else 200)

    with serving(Route("/health", handle)) as url:
        observed = look(target(url))
    assert (observed.value, observed.n) == (5, 4 + health.AT_ONCE)
    assert observed.notes[0] == "one of 8 requests at once: status 503 instead of 200"


def test_requests_are_spaced(server: Target) -> None:
    """The requests are spaced: a fifth of a second in total takes that long."""
    started = time.monotonic()
    observed = look(server, requests=5, spacing_s=0.05)
    assert time.monotonic() - started >= 0.2
    assert observed.window_s >= 0.2


@pytest.mark.parametrize(
    ("body", "status", "media", "said"),
    [
        (HEALTHY, 503, "application/json", "status 503 instead of 200"),
        (HEALTHY, 302, "application/json", "status 302 instead of 200"),
        (HEALTHY, 200, "text/html", "content type 'text/html"),
        ("ok", 200, "application/json", "status is None"),
        ([HEALTHY], 200, "application/json", "status is None"),
        ({**HEALTHY, "status": "unhealthy"}, 200, "application/json", "status is 'unhealthy'"),
        ({**HEALTHY, "version": ""}, 200, "application/json", "version is ''"),
        ({**HEALTHY, "digest": None}, 200, "application/json", "digest is None"),
        ({**HEALTHY, "checks": {}}, 200, "application/json", "checks.database is None"),
        ({**HEALTHY, "checks": "all"}, 200, "application/json", "checks.database is None"),
        ({**HEALTHY, "checks": {"database": {"status": "disconnected"}}}, 200, "application/json", "not connected"),
    ],
)
def test_a_wrong_answer_is_not_good(body: Any, status: int, media: str, said: str) -> None:
    """A faulty answer counts as tried, not as good, and the note names the fault."""
    with serving(answering("/health", body, status, media)) as url:
        observed = look(target(url))
    assert (observed.value, observed.n) == (0, 4)
    assert said in observed.notes[0]


def test_one_wrong_answer_among_many_is_counted() -> None:
    """It is counted, and the note has its number."""
    requests: list[Request] = []

    async def handle(request: Request) -> Response:
        requests.append(request)
        return JSONResponse(HEALTHY, 500 if len(requests) == 7 else 200)

    with serving(Route("/health", handle)) as url:
        observed = look(target(url), requests=10)
    assert (observed.value, observed.n) == (9, 10)
    assert observed.notes == ("request 7: status 500 instead of 200",)


def test_a_server_that_goes_silent_is_data(monkeypatch: pytest.MonkeyPatch) -> None:
    """No answer within the time limit is a fault, and the probe continues."""
    monkeypatch.setattr(client, "READ_S", 0.2)
    requests: list[Request] = []

    async def handle(request: Request) -> Response:
        requests.append(request)
        if len(requests) == 2:
            await asyncio.sleep(1)
        return JSONResponse(HEALTHY)

    with serving(Route("/health", handle)) as url:
        observed = look(target(url))
    assert (observed.value, observed.n) == (3, 4)
    assert "no answer: ReadTimeout" in observed.notes[0]


def test_a_server_that_never_answers_costs_one_time_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """One request without an answer is a certain failure; where none was ever answered, no more are sent."""
    monkeypatch.setattr(client, "READ_S", 0.2)

    async def handle(_: Request) -> Response:
        await asyncio.sleep(1)
        return JSONResponse(HEALTHY)

    with serving(Route("/health", handle)) as url:
        observed = look(target(url), requests=30)
    assert (observed.value, observed.n) == (0, 1)


def test_no_listener_is_no_data() -> None:
    """Without a listener the probe raises at once."""
    with pytest.raises(TargetUnreachable, match="no answer to GET /health"):
        look(target(f"http://127.0.0.1:{free_port()}"), requests=30, spacing_s=0.01)


def test_a_name_that_does_not_resolve_is_no_data() -> None:
    """The message names the host name as the cause."""
    with pytest.raises(TargetUnreachable, match="host name does not resolve"):
        look(target("http://no-such-host.invalid:8711"))

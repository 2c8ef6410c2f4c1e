"""Gates of servers that are not like the reference server: what is missing fails, the rest is measured."""

import asyncio
import contextlib
import json
import re
import socket
import threading
from collections.abc import Iterator
from dataclasses import replace

import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from gaia_checks.report import evidence
from tests.probes.servers import answering, serving
from tests.report import past
from tests.support.ground import Ground, ground


@pytest.fixture
def elsewhere() -> Iterator[Ground]:
    """A machine that has deployed nothing."""
    with ground(database="external", ADMIN_TOKEN="a-token-of-sixteen") as made:
        yield made


@contextlib.contextmanager
def silent() -> Iterator[str]:
    """Accept connections and send nothing; yield the URL."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        accepted: list[socket.socket] = []

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    accepted.append(listener.accept()[0])

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()
        for each in accepted:
            each.close()


def test_a_server_that_answers_404_to_everything_fails(elsewhere: Ground) -> None:
    """Whatever the contract promises over HTTP and WebSocket fails for certain, with exit code 1."""
    with serving() as url:
        outcome = elsewhere.gate(elsewhere.environment_file(base_url=url), "--complete")
    assert outcome.code == 1, outcome.output
    failed = {name for name, state in outcome.states.items() if state == "fail"}
    assert failed == {"dev.health", "dev.api", "dev.websocket", "dev.database"}, outcome.output[-3000:]
    assert "map it in [contract.paths]" in outcome.not_passed()["dev.health"]


def test_what_comes_first_is_judged_although_it_has_failed(elsewhere: Ground) -> None:
    """A gate of the same server that stops early names health and API, and has looked at nothing else."""
    with serving() as url:
        outcome = elsewhere.gate(elsewhere.environment_file(base_url=url))
    assert outcome.code == 1, outcome.output
    why = outcome.not_passed()
    assert {name for name, reason in why.items() if reason.startswith("fail")} == {"dev.health", "dev.api"}
    assert "stopped early: dev.health has certainly failed" in why["dev.websocket"]
    assert outcome.verdict["duration_s"] < 10


def test_a_failure_that_is_new_names_the_gate_in_which_it_passed_last(elsewhere: Ground) -> None:
    """On the terminal, in verdict.md and in the report, from the evidence beside the gate's."""
    _, passed = past.gate(elsewhere.folder, 0)
    earlier = elsewhere.latest.parent / passed.run
    earlier.mkdir(parents=True)
    evidence.write_verdict(earlier, replace(passed, environment="ground"), {})
    with serving() as url:
        outcome = elsewhere.gate(elsewhere.environment_file(base_url=url))
    assert outcome.states["dev.health"] == "fail", outcome.output
    last = f"passed last in run {passed.run} (commit 0000000), by other criteria"
    assert f"\n  last  {last}\n" in outcome.output
    assert f"; {last}\n" in (outcome.folder / "verdict.md").read_text()
    assert "<h2>History</h2><p>The last 2 gates of ground" in (outcome.folder / "report.html").read_text()


def test_a_server_that_accepts_and_says_nothing_fails(elsewhere: Ground) -> None:
    """No answer within the time limit is a failure, not a hang; nothing but that is said, and nothing else is tried."""
    with silent() as url:
        outcome = elsewhere.gate(elsewhere.environment_file(base_url=url))
    assert outcome.code == 1, outcome.output
    why = outcome.not_passed()
    assert {name for name, reason in why.items() if reason.startswith("fail")} == {"dev.health"}
    assert "no answer: ReadTimeout" in why["dev.health"]
    line = f"{url} accepts connections and answers nothing: is this the server's port, and http or https?"
    assert why["dev.api"] == why["dev.websocket"] == f"inconclusive: {line}"
    assert "cannot pass" not in outcome.output
    assert outcome.verdict["duration_s"] < 30  # two requests of 10 s each, and what it has


def test_without_an_api_for_rules_everything_else_is_judged(elsewhere: Ground) -> None:
    """Health and load need no rule and are judged; the API fails; what needs a rule names the missing route."""

    def health(_: Request) -> JSONResponse:
        body = {"status": "healthy", "version": "7", "digest": "sha256:00", "checks": {"database": "connected"}}
        return JSONResponse(body)

    async def live(websocket: WebSocket) -> None:
        await websocket.accept()
        with contextlib.suppress(WebSocketDisconnect, RuntimeError):
            for seq in range(1000):
                kind = "heartbeat" if seq % 2 else "stats"
                await websocket.send_text(json.dumps({"type": kind, "seq": seq + 1, "at": "2026-02-26T10:00:00Z"}))
                await asyncio.sleep(0.2)

    routes = (Route("/health", health), WebSocketRoute("/ws/admin/quotas", live))
    with serving(*routes) as url:
        outcome = elsewhere.gate(
            elsewhere.environment_file(base_url=url), "--stage=qa", "--complete", "-k", "not dashboard"
        )
    assert outcome.states["dev.health"] == "pass", outcome.not_passed()
    assert outcome.states["dev.api"] == "fail"
    measured = {check["measurement"]: check for each in outcome.verdict["criteria"] for check in each["checks"]}
    assert measured["load.served_of_sent"]["n"] == 500
    assert measured["load.served_of_sent"]["state"] == "pass"
    assert outcome.states["qa.rate_limiting"] == "inconclusive"
    assert "POST /api/admin/quotas/config answered 404" in outcome.not_passed()["qa.rate_limiting"]
    assert "no temporary rules, so what needs them is not checked: GET" in outcome.output
    cannot_pass = " ".join(outcome.output.partition("cannot pass")[2].split())
    without_rules = (
        "qa.rate_limiting qa.quotas qa.figures qa.access qa.identity qa.fresh_install qa.websocket_soak qa.dashboard "
        "qa.outage"
    )
    assert f"{without_rules}: GET /api/admin/quotas/config" in cannot_pass
    assert re.search(r"^ *judged +dev\.health dev\.api dev\.websocket qa\.load$", outcome.output, re.MULTILINE)


def test_doctor_and_dry_run_say_what_will_be_judged(elsewhere: Ground) -> None:
    """Doctor sends requests that change nothing; a dry run sends none, and leaves open what only they would show."""
    with serving(answering("/health", {"status": "healthy"})) as url:
        file = str(elsewhere.environment_file(base_url=url))
        doctor = elsewhere.run("gaia_checks.cli", "doctor", file).stdout
        dry_run = elsewhere.run("pytest", f"--env={file}", "--dry-run").stdout
    assert re.search(r"^has +health", doctor, re.MULTILINE), doctor
    assert re.search(r"^has not +admin\.rules, admin\.usage, websocket, metrics, database", doctor, re.MULTILINE)
    assert re.search(
        r"^shown by the gate +health, admin\.rules, admin\.usage, websocket, metrics$", dry_run, re.MULTILINE
    )
    for table in (doctor, dry_run):
        assert re.search(r"^judged +dev\.health dev\.api dev\.websocket$", table, re.MULTILINE), table
        assert re.search(r"^cannot pass +dev\.log: the log cannot be observed from here: set log", table, re.MULTILINE)

"""The monitoring probe: the real server passes; each fault shows in exactly its own measurement."""

import json
import os
import re
import shutil
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import Response

from gaia_checks.deploy.supervisor.spawn import free_port
from gaia_checks.errors import ConfigurationError, TargetUnreachable
from gaia_checks.judge import criteria_file
from gaia_checks.model import Measurement, Target
from gaia_checks.probes.monitoring import monitoring_probe
from gaia_checks.probes.monitoring.monitoring_probe import FOLDER
from gaia_checks.target.client import client, key
from gaia_checks.target.responses import CONFIG
from tests.probes.servers import HEALTHY, Spoil, answering, serving, spoiled, target

MEASURED = ("readable", "moving", "resolving")


def look(at: Target, folder: Path = FOLDER) -> dict[str, Measurement]:
    """Run the probe and return its measurements by the last word of their names."""
    return {observed.name.rpartition("_")[2]: observed for observed in monitoring_probe.probe(at, folder)}


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten the wait for counters that a fault stops."""
    monkeypatch.setattr(monitoring_probe, "WITHIN_S", 0.4)


def faulty(observed: dict[str, Measurement]) -> list[str]:
    """Return which measurements found a fault."""
    assert tuple(observed) == MEASURED
    return [name for name in MEASURED if observed[name].value < observed[name].n]


def left_behind(server: Target) -> list[str]:
    """Return the left-over rules of this run."""
    with client(server) as http:
        rules = http.get(CONFIG, params={"limit": 200}).raise_for_status().json()["items"]
    return sorted(rule["rule_name"] for rule in rules if rule["rule_name"].startswith(f"{key(server)}-"))


def metrics(change: Callable[[str], str]) -> Spoil:
    """Change the text of /metrics."""

    def spoil(request: Request, response: Response) -> Response:
        if request.url.path != "/metrics":
            return response
        text = change(bytes(response.body).decode())
        return Response(text, response.status_code, media_type="text/plain; version=0.0.4; charset=utf-8")

    return spoil


def lines(pattern: str, replacement: str) -> Spoil:
    """Rewrite all lines of /metrics that match."""
    return metrics(lambda text: re.sub(pattern, replacement, text, flags=re.MULTILINE))


def remembered(scrapes: int) -> Spoil:
    """Answer `times` scrapes with the first one's text, as a caching proxy may do."""
    kept: list[str] = []

    def change(text: str) -> str:
        kept.append(kept[0] if kept and len(kept) < scrapes else text)
        return kept[-1]

    return metrics(change)


def stuck(series: str) -> Spoil:
    """Report 0 for one family for ever."""
    return lines(rf"^({series}\S*) \S+$", r"\1 0")


def test_the_real_monitoring_passes(server: Target) -> None:
    """Every counter increases, every query resolves, within a few seconds, and no rule is left."""
    observed = look(server)
    assert [observed[name].notes for name in MEASURED] == [(), (), ()]
    assert [observed[name].value for name in MEASURED] == [observed[name].n for name in MEASURED]
    assert observed["resolving"].window_s < 5
    assert left_behind(server) == []


def test_it_is_enough_for_its_criterion(server: Target) -> None:
    """The criterion requires these measurements, and no more samples than there are."""
    (criterion,) = (one for one in criteria_file.load().criteria if one.id == "prod.monitoring")
    observed = {one.name: one for one in monitoring_probe.probe(server)}
    assert {
        check.measurement: observed[check.measurement].n >= check.min_n for check in criterion.checks
    } == dict.fromkeys(observed, True)


def test_two_runs_pass_twice(server: Target) -> None:
    """A second run starts with fresh counts after the first rule is removed."""
    assert [faulty(look(server)) for _ in range(2)] == [[], []]


def test_others_who_are_counted_do_no_harm(server: Target) -> None:
    """Series may increase by more than this run's requests."""
    stop = threading.Event()

    def send() -> None:
        with httpx.Client(base_url=server.base_url) as http:
            while not stop.is_set():
                http.get("/health")
                http.get(CONFIG)

    other = threading.Thread(target=send)
    other.start()
    try:
        assert faulty(look(server)) == []
    finally:
        stop.set()
        other.join()


@pytest.mark.parametrize(
    ("spoil", "found", "expected"),
    [
        (remembered(1000), "moving", "gaia_uptime_seconds: moved by 0.000 s between scrapes"),
        (remembered(2), "moving", "gaia_uptime_seconds: moved by 0.000 s between scrapes"),
        (stuck("gaia_rate_limit_violations_total"), "moving", "gaia_rate_limit_violations_total scope=api_key limit"),
        (stuck("gaia_rate_limit_decisions_total"), "moving", "gaia_rate_limit_decisions_total decision=admitted: gr"),
        (stuck("gaia_http_request_duration_seconds_count"), "moving", "gaia_http_request_duration_seconds_count rout"),
        (stuck("process_cpu_seconds_total"), "moving", "process_cpu_seconds_total: grew by 0 instead of 0.001 or mo"),
        (
            lines(r"^(gaia_http_request_duration_seconds_sum\S*) (\S+)$", r"\1 \g<2>e3"),
            "moving",
            "gaia_http_request_duration_seconds_sum route=",
        ),
        (
            lines('route="other"', 'route="/api/admin/quotas/nothing"'),
            "moving",
            "gaia_http_requests_total route=/api",
        ),
        (lines("^gaia_alerts_firing .*$", "gaia_alerts_firing 1"), "moving", "gaia_alerts_firing is 1, and GET /api"),
        (lines("gaia_database_pool_waiting", "gaia_pool_waiting"), "resolving", "alerts.yml: GaiaPoolWaiting: there"),
        (lines("^(gaia_build_info.*)digest=", r"\1sha256="), "resolving", "alerts.yml: GaiaVersionsDiffer: gaia_bui"),
        (lines("^# HELP gaia_uptime_seconds.*$", ""), "readable", "gaia_uptime_seconds has no HELP"),
        (lines("^# TYPE gaia_uptime_seconds.*$", ""), "readable", "gaia_uptime_seconds has no TYPE"),
        (lines("^(gaia_database_up .*)$", r"\1 1772100001000"), "readable", "gaia_database_up has its own timestamps"),
    ],
)
def test_a_fault_is_found_by_what_it_concerns(server: Target, spoil: Spoil, found: str, expected: str) -> None:
    """Only the measurement concerned fails, and its note names the fault."""
    with spoiled(server, spoil) as at:
        observed = look(at)
    assert faulty(observed) == [found]
    assert any(note.startswith(expected) for note in observed[found].notes), observed[found].notes
    assert left_behind(server) == []


def status(code: int) -> Spoil:
    """Answer /metrics with another status."""

    def spoil(request: Request, response: Response) -> Response:
        return Response("", code) if request.url.path == "/metrics" else response

    return spoil


def html(request: Request, response: Response) -> Response:
    """Answer /metrics with an HTML page, as a sign-in redirect may."""
    return Response("<html>", media_type="text/html") if request.url.path == "/metrics" else response


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (status(404), "GET /metrics: status 404 instead of 200"),
        (status(401), "GET /metrics: status 401 instead of 200"),
        (html, "GET /metrics: content type 'text/html' instead of text/plain"),
        (metrics(lambda _: "<html>"), "GET /metrics: not a sample of the Prometheus text format: <html>"),
        (metrics(lambda _: ""), "gaia_uptime_seconds"),
    ],
)
def test_metrics_that_cannot_be_read_are_wrong(server: Target, spoil: Spoil, expected: str) -> None:
    """Unreadable metrics fail every measurement, and the first note has the reason."""
    with spoiled(server, spoil) as at:
        observed = look(at)
    assert set(faulty(observed)) >= {"moving", "resolving"}
    assert observed["resolving"].value < observed["resolving"].n / 10
    assert expected in " ".join((*observed["readable"].notes, *observed["moving"].notes))


def test_a_limiter_that_refuses_nobody_is_found(server: Target) -> None:
    """Without refusals the counters of refusals do not increase, and the note says so."""

    def lenient(_: Request, response: Response) -> Response:
        return Response("{}", media_type="application/json") if response.status_code == 429 else response

    with spoiled(server, lenient) as at:
        observed = look(at)
    assert faulty(observed) == ["moving"]
    assert observed["moving"].notes == (f"GET {CONFIG}: status 200 instead of 429",)


def test_a_rule_that_is_not_taken_is_found(server: Target) -> None:
    """The note has the server's answer instead."""

    def refusing(request: Request, response: Response) -> Response:
        return Response(json.dumps({"status": 503}), 503) if request.method == "POST" else response

    with spoiled(server, refusing) as at:
        observed = look(at)
    assert "moving" in faulty(observed)
    assert observed["moving"].notes[0] == f"POST {CONFIG}: status 503 instead of 201"


def test_files_that_ask_for_what_is_not_there_are_named(server: Target, tmp_path: Path) -> None:
    """A wrong shipped query is found, with the file, the alert and the expression."""
    folder = shutil.copytree(FOLDER, tmp_path / "monitoring")
    alerts = folder / "alerts.yml"
    alerts.write_text(alerts.read_text().replace("gaia_database_up == 0", "gaia_databse_up == 0"))
    observed = look(server, folder)
    assert faulty(observed) == ["resolving"]
    assert observed["resolving"].notes == (
        "alerts.yml: GaiaDatabaseDown: there is no metric gaia_databse_up, in gaia_databse_up == 0",
    )


def test_without_the_files_nothing_is_looked_at(server: Target, tmp_path: Path) -> None:
    """An unreadable shipped file raises; it is no fault of the server."""
    with pytest.raises(ConfigurationError, match=r"alerts.yml: cannot be read"):
        look(server, tmp_path)


def test_an_interrupted_look_leaves_nothing(server: Target) -> None:
    """An interrupt while the rule is in force removes it."""
    interrupted: list[list[str]] = []

    def interrupting(_: Request, response: Response) -> Response:
        if response.status_code == 429 and not interrupted:
            interrupted.append(left_behind(server))
            os.kill(os.getpid(), signal.SIGINT)
        return response

    with spoiled(server, interrupting) as at, pytest.raises(KeyboardInterrupt):
        look(at)
    assert interrupted == [[f"{target('http://x').key}-monitoring"]]
    assert left_behind(server) == []


def test_a_server_that_falls_silent_does_not_delay_the_gate() -> None:
    """After one request without an answer no more are sent, and the measurements fail."""
    with serving(answering("/health", HEALTHY)) as url:
        started_s = time.monotonic()
        observed = look(target(url))
    assert faulty(observed) == list(MEASURED)
    assert observed["readable"].notes == ("GET /metrics: status 404 instead of 200",)
    assert time.monotonic() - started_s < 5


def test_no_listener_is_no_data() -> None:
    """Without a listener the probe raises TargetUnreachable."""
    with pytest.raises(TargetUnreachable, match="is it running"):
        look(target(f"http://127.0.0.1:{free_port()}"))

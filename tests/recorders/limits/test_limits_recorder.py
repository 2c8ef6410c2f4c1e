"""The limits recorder: the real server passes, and every fault of a limiter fails with its reason."""

import asyncio
import random
import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from gaia_checks.deploy.supervisor.spawn import free_port
from gaia_checks.judge import criteria_file
from gaia_checks.judge.judgement import judge_measured
from gaia_checks.model import CriterionVerdict, Measurement, State, Target
from gaia_checks.recorders.base.timeline import Timeline
from gaia_checks.recorders.limits import limits_recorder
from gaia_checks.target import temporary_rules
from tests.probes.servers import TOKEN, serving, target
from tests.recorders import stage
from tests.recorders.limited import Limited, Spoil
from tests.recorders.limiters import FAULTS, Log

CLIENTS = 32
WHOLE_S = 4.6
"""This window has enough samples of everything."""

SHORT_S = 1.7
"""This window detects most faults."""


@pytest.fixture(autouse=True)
def in_force_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten the settling time: these servers have a single process."""
    monkeypatch.setattr(temporary_rules, "SETTLE_S", 0.0)


def look(at: Target, folder: Path, window_s: float) -> dict[str, Measurement]:
    """Look at a server."""
    return stage.run(limits_recorder.record, at, folder, clients=CLIENTS, window_s=window_s)


def judged(observed: dict[str, Measurement], window_s: float) -> CriterionVerdict:
    """The verdict on the recorded measurements."""
    loaded = criteria_file.load(overrides={"limits": {"window_s": window_s}})
    criterion = next(criterion for criterion in loaded.criteria if criterion.id == "qa.rate_limiting")
    files = [Measurement.from_json(measurement.to_json()) for measurement in observed.values()]
    return judge_measured(criterion, files, rehearsal=True)


def verdict(server: Limited, folder: Path, window_s: float = SHORT_S) -> CriterionVerdict:
    """Record a small server, and judge."""
    with serving(*server.routes) as url:
        observed = look(target(url), folder, window_s)
    assert not server.rules  # they were taken away
    return judged(observed, window_s)


def test_the_real_server_is_right(tmp_path: Path, server: Target) -> None:
    """Its decisions and headers are correct, with many samples."""
    observed = look(server, tmp_path, WHOLE_S)
    result = judged(observed, WHOLE_S)
    assert result.state is State.PASS, [finding.why for finding in result.checks]
    assert [finding.measured for finding in result.checks] == [0, 0, 0, 1, 1, 1]
    assert result.n > 20
    assert all(measurement.window_s >= WHOLE_S for measurement in observed.values())
    assert TOKEN not in repr(observed)
    last = stage.timeline_of(tmp_path)[-1]
    assert last["requests"] == observed["limits.answers"].n == last["admitted"] + last["refused"]


def test_a_small_right_server_is_right(tmp_path: Path) -> None:
    """The small server passes without a fault."""
    result = verdict(Limited(), tmp_path, WHOLE_S)
    assert result.state is State.PASS, [finding.why for finding in result.checks]


ALLOWS = "admissions beyond a limit, most of them by client-"
DENIES = "refusals within a limit, most of them by client-"


@pytest.mark.parametrize(
    ("server", "why"),
    [
        (lambda: Limited(racing_s=0.01), ALLOWS),
        (lambda: Limited(FAULTS["fixed windows from the first request"](0.0)), ALLOWS),
        (lambda: Limited(Log(opens=0.1, chance=random.Random(1))), ALLOWS),
        (lambda: Limited(FAULTS["one too few"](0.0)), DENIES),
        (lambda: Limited(FAULTS["keys are mixed up"](0.0)), DENIES),
    ],
    ids=["checks, then counts", "fixed windows", "an error admits", "one too few", "keys are mixed up"],
)
def test_a_wrong_limiter_fails(tmp_path: Path, server: Callable[[], Limited], why: str) -> None:
    """The verdict has the number of wrong decisions and the limit."""
    result = verdict(server(), tmp_path)
    assert result.state is State.FAIL, [finding.why for finding in result.checks]
    assert any(why in finding.why and finding.state is State.FAIL for finding in result.checks)


def without(name: str) -> Spoil:
    """Leave a header out."""

    def spoil(status: int, headers: dict[str, str]) -> int:
        headers.pop(name, None)
        return status

    return spoil


def later(name: str, by: int) -> Spoil:
    """Add to a header that is a number."""

    def spoil(status: int, headers: dict[str, str]) -> int:
        if name in headers:
            headers[name] = str(int(headers[name]) + by)
        return status

    return spoil


def failing(every: int) -> Spoil:
    """Answer some requests with 503."""
    count = iter(range(10_000))
    return lambda status, _: 503 if next(count) % every == 0 else status


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (without("Retry-After"), "Retry-After is missing"),
        (without("RateLimit"), "RateLimit is missing"),
        (later("Retry-After", 2), "Retry-After is 3, not 1"),
        (later("X-RateLimit-Reset", 3600), "X-RateLimit-Reset is +3600 s away from when more remains"),
        (failing(20), "limits.answered is 0.9"),
    ],
    ids=["no Retry-After", "no RateLimit", "a later Retry-After", "another Reset", "errors"],
)
def test_a_wrong_answer_fails(tmp_path: Path, spoil: Spoil, why: str) -> None:
    """Wrong headers fail alone; correct decisions stay correct."""
    result = verdict(Limited(spoil=spoil), tmp_path)
    assert result.state is State.FAIL
    assert why in result.why
    assert all(finding.state is not State.FAIL for finding in result.checks[1:3])


def test_refusals_by_other_rules_are_inconclusive(tmp_path: Path) -> None:
    """Too many refusals by another rule are inconclusive: the verdict names the rule."""
    result = verdict(Limited(others=5), tmp_path)
    assert result.state is State.INCONCLUSIVE
    assert "limits.refused_by_others is 0." in result.why
    assert "by other-rule" in result.why
    assert {finding.measured for finding in result.checks[1:3]} == {0}


def test_an_accepted_rule_that_is_not_in_force_fails_by_its_name(tmp_path: Path) -> None:
    """Where other rules refuse because ours does not count, the server fails; nobody should weaken the others."""

    def forgetting(status: int, headers: dict[str, str]) -> int:
        for name in ("RateLimit", "RateLimit-Policy"):
            headers[name] = re.sub(r'"[^"]*-limits-[^"]*"', '"default-ip-second"', headers[name])
        return status

    result = verdict(Limited(others=5, spoil=forgetting), tmp_path)
    assert result.state is State.FAIL
    assert "was accepted and is not in force: only default-ip-second" in result.why


@pytest.mark.parametrize(
    ("created", "why"), [(503, "answered 503 instead of 201"), (None, "All connection attempts failed")]
)
def test_a_server_without_our_rules_is_not_judged(tmp_path: Path, created: int | None, why: str) -> None:
    """Without the rules every measurement has no samples, but a reason."""
    if created:
        with serving(*Limited(created=created).routes) as url:
            observed = look(target(url), tmp_path, SHORT_S)
    else:
        observed = look(target(f"http://127.0.0.1:{free_port()}"), tmp_path, SHORT_S)
    assert {measurement.n for measurement in observed.values()} == {0}
    assert all(why in measurement.notes[0] for measurement in observed.values())
    assert judged(observed, SHORT_S).state is State.INCONCLUSIVE


def test_a_stopped_recorder_reports_its_window(tmp_path: Path) -> None:
    """A stop ends it within a second, removes its rules, and its short window cannot pass."""
    server = Limited()

    async def record(at: Target) -> tuple[list[Measurement], float]:
        stop = asyncio.Event()
        asyncio.get_running_loop().call_later(0.7, stop.set)
        started = time.monotonic()
        observed = await limits_recorder.record(at, Timeline(tmp_path, "look", 60), stop, window_s=60, clients=CLIENTS)
        return observed, time.monotonic() - started

    with serving(*server.routes) as url:
        observed, took_s = asyncio.run(record(target(url)))
    assert took_s < 2
    assert not server.rules
    assert {measurement.n > 0 and measurement.window_s < 1 for measurement in observed} == {True}


def test_all_rules_are_ones_that_the_gate_would_remove() -> None:
    """Rules and keys carry the run's name."""
    ours = limits_recorder.keys(target("http://x"), CLIENTS)
    names = [name for key in ours.values() for name in (key.name, *key.rules)]
    assert all(name.startswith(f"{target('http://x').key}-limits-") for name in names)
    assert len(set(names)) == len(names)

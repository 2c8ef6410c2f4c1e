"""The look at limits: the real server passes, and whatever is wrong with a limiter fails with its reason."""

import asyncio
import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from gaia_checks.deploy.supervisor.spawn import free_port
from gaia_checks.judge import criteria
from gaia_checks.judge.verdict import judge_measured
from gaia_checks.model import CriterionVerdict, Measurement, State, Target
from gaia_checks.recorders.base.timeline import Timeline
from gaia_checks.recorders.limits import limits_recorder
from gaia_checks.target import temporary_rules
from tests.probes.servers import RUN, TOKEN, serving, target
from tests.recorders import stage
from tests.recorders.limited import Limited, Spoil
from tests.recorders.limiters import FAULTS, Log

CLIENTS = 32
WHOLE_S = 4.6
"""So much of the look has enough of everything."""

SHORT_S = 1.7
"""So much shows most of what is wrong."""


@pytest.fixture(autouse=True)
def in_force_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """One process is all that the servers here have."""
    monkeypatch.setattr(temporary_rules, "SETTLE_S", 0.0)


def look(at: Target, folder: Path, window_s: float) -> dict[str, Measurement]:
    """Look at a server."""
    return stage.run(limits_recorder.record, at, folder, clients=CLIENTS, window_s=window_s)


def judged(seen: dict[str, Measurement], window_s: float) -> CriterionVerdict:
    """The verdict about what is on file."""
    loaded = criteria.load(overrides={"limits": {"window_s": window_s}})
    criterion = next(criterion for criterion in loaded.criteria if criterion.id == "qa.rate_limiting")
    files = [Measurement.from_json(measurement.to_json()) for measurement in seen.values()]
    return judge_measured(criterion, files, rehearsal=True)


def verdict(server: Limited, folder: Path, window_s: float = SHORT_S) -> CriterionVerdict:
    """Look at a small server, and judge."""
    with serving(*server.routes) as url:
        seen = look(target(url), folder, window_s)
    assert not server.rules  # they were taken away
    return judged(seen, window_s)


def test_the_real_server_is_right(tmp_path: Path, server: Target) -> None:
    """Nothing is wrong with its decisions and its headers, and much would have shown it."""
    seen = look(server, tmp_path, WHOLE_S)
    result = judged(seen, WHOLE_S)
    assert result.state is State.PASS, [finding.why for finding in result.checks]
    assert [finding.measured for finding in result.checks] == [0, 0, 0, 1, 1]
    assert result.n > 20
    assert all(measurement.window_s >= WHOLE_S for measurement in seen.values())
    assert TOKEN not in repr(seen)
    last = stage.timeline_of(tmp_path)[-1]
    assert last["asked"] == seen["limits.answers"].n == last["admitted"] + last["refused"]


def test_a_small_right_server_is_right(tmp_path: Path) -> None:
    """What is done to it below is all that is wrong with it."""
    result = verdict(Limited(), tmp_path, WHOLE_S)
    assert result.state is State.PASS, [finding.why for finding in result.checks]


ALLOWS = "admissions beyond a limit, most of them by gaia-run-"
DENIES = "refusals within a limit, most of them by gaia-run-"


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
    """The verdict says how many decisions were wrong and by which limit."""
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
    """Decisions are right, and what is told of them is not; nobody is accused of a wrong decision."""
    result = verdict(Limited(spoil=spoil), tmp_path)
    assert result.state is State.FAIL
    assert why in result.why
    assert all(finding.state is not State.FAIL for finding in result.checks[1:3])


def test_what_rules_of_others_refuse_is_nobodys_fault(tmp_path: Path) -> None:
    """Too much of it, and nothing is decided: the verdict names the rule."""
    result = verdict(Limited(others=5), tmp_path)
    assert result.state is State.INCONCLUSIVE
    assert "limits.refused_by_others is 0." in result.why
    assert "by everybody" in result.why
    assert {finding.measured for finding in result.checks[1:3]} == {0}


@pytest.mark.parametrize(
    ("created", "why"), [(503, "answered 503 instead of 201"), (None, "All connection attempts failed")]
)
def test_a_server_without_our_rules_is_not_judged(tmp_path: Path, created: int | None, why: str) -> None:
    """There was nothing to look at: every measurement says why."""
    if created:
        with serving(*Limited(created=created).routes) as url:
            seen = look(target(url), tmp_path, SHORT_S)
    else:
        seen = look(target(f"http://127.0.0.1:{free_port()}"), tmp_path, SHORT_S)
    assert {measurement.n for measurement in seen.values()} == {0}
    assert all(why in measurement.notes[0] for measurement in seen.values())
    assert judged(seen, SHORT_S).state is State.INCONCLUSIVE


def test_told_to_end_it_says_how_long_it_looked(tmp_path: Path) -> None:
    """It ends within a second, takes its rules away, and what it saw cannot pass for the whole."""
    server = Limited()

    async def record(at: Target) -> tuple[list[Measurement], float]:
        told = asyncio.Event()
        asyncio.get_running_loop().call_later(0.7, told.set)
        began = time.monotonic()
        seen = await limits_recorder.record(at, Timeline(tmp_path, "look", 60), told, window_s=60, clients=CLIENTS)
        return seen, time.monotonic() - began

    with serving(*server.routes) as url:
        seen, took_s = asyncio.run(record(target(url)))
    assert took_s < 2
    assert not server.rules
    assert {measurement.n > 0 and measurement.window_s < 1 for measurement in seen} == {True}


def test_all_rules_are_ones_that_the_gate_would_remove() -> None:
    """They are named after the run, and so are the keys that they limit."""
    ours = limits_recorder.keys(target("http://x"), CLIENTS)
    names = [name for key in ours.values() for name in (key.name, *key.rules)]
    assert all(name.startswith(f"gaia-run-{RUN}-limits-") for name in names)
    assert len(set(names)) == len(names)

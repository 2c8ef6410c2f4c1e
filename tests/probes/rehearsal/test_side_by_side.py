"""Two real releases side by side: an equal one is never worse, and what a change costs is named with its figure."""

import threading
from collections.abc import Mapping
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path

import pytest

from gaia_checks.deploy.rehearsal import release_pair
from gaia_checks.deploy.state import paths
from gaia_checks.errors import ConfigurationError, Inconclusive
from gaia_checks.judge import criteria_file
from gaia_checks.judge.judgement import judge_measured
from gaia_checks.model import CriterionVerdict, Measurement, State
from gaia_checks.probes.rehearsal import release_blocks, side_by_side
from tests.deploy.conftest import make_stage
from tests.probes import copies
from tests.probes.servers import RUN, TOKEN, target
from tests.support import altered_server
from tests.support.altered_server import Change

LIMITS = {
    "p50_ratio": 1.25,
    "cpu_ratio": 1.25,
    "startup_ratio": 3,
    "transactions_ratio": 1.1,
    "memory_more_mb": 20,
}
"""Of p99 a busy machine with 500 pairs says too little."""

_DECIDE = "            await cursor.execute(CHECK, arguments, prepare=True)\n"
_CONFIGURE = "    logs.configure()\n"
STATEMENT = ("limiting/decide.py", _DECIDE, f'            await cursor.execute("SELECT 1")\n{_DECIDE}')
SLOWER = ("limiting/decide.py", _DECIDE, f"{_DECIDE}            await __import__('asyncio').sleep(0.05)\n")
"""Of an answer that takes 20 ms on a busy machine a few ms more would be too little."""

MEMORY = ("__main__.py", _CONFIGURE, f"{_CONFIGURE}    logs.ballast = bytearray(b'x') * 30_000_000\n")
BROKEN = ("__main__.py", _CONFIGURE, f"{_CONFIGURE}    raise SystemExit('seeded: cannot start')\n")
ERRORS = (
    "limiting/decide.py",
    "        arguments = (\n",
    "        raise ZeroDivisionError('seeded')\n        arguments = (\n",
)


@pytest.fixture(autouse=True)
def _slow_machines_take_their_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A gate stops after a minute, with fewer blocks than an interval needs on a busy machine."""
    monkeypatch.setattr(release_blocks, "_LONGEST_S", 600.0)


def compared(folder: Path, previous: list[Change], new: list[Change], pairs: int = 500) -> list[Measurement]:
    """Compare two changed releases."""
    with ExitStack() as stack:
        releases = [
            stack.enter_context(copies.released(altered_server.write(folder / name, *changes), folder / f"{name}s"))
            for name, changes in (("previous", previous), ("new", new))
        ]
        stage = stack.enter_context(make_stage("embedded", ADMIN_TOKEN=TOKEN))
        paths.prepare(paths.of(stage.environment))
        pair = stack.enter_context(release_pair.opened(stage.environment, RUN, releases[0], releases[1]))
        return side_by_side.on_copies(pair, threading.Event(), pairs=pairs, starts=5)


def judged(measurements: list[Measurement], limits: Mapping[str, float] = LIMITS) -> CriterionVerdict:
    """Judge by limits that an environment file may give."""
    (criterion,) = (each for each in criteria_file.load(limits=limits).criteria if each.id == "prod.no_regression")
    return judge_measured(criterion, measurements, rehearsal=False)


def test_an_equal_release_is_never_worse(tmp_path: Path) -> None:
    """Everything is measured, nothing fails, and the counts are equal."""
    measurements = compared(tmp_path, [], [])
    verdict = judged(measurements)
    assert [each.why for each in verdict.checks if each.state is State.FAIL] == []
    assert all(each.n > 0 for each in measurements)
    by_name = {each.name.removeprefix("no_regression."): each for each in measurements}
    assert by_name["transactions_ratio"].value == pytest.approx(1, abs=0.02)
    assert abs(by_name["memory_more_mb"].value) < 5
    assert by_name["errors_more"].value == {"previous": [[100, 0]] * 5, "new": [[100, 0]] * 5}


@pytest.mark.parametrize(
    ("change", "measurement", "reason"),
    [
        (SLOWER, "p50_ratio", "no_regression.p50_ratio: "),
        (STATEMENT, "transactions_ratio", "transactions per request before, now "),
        (MEMORY, "memory_more_mb", " MB before, now "),
    ],
    ids=["50 ms more", "one more statement", "30 MB more"],
)
def test_a_worse_release_fails_by_name(tmp_path: Path, change: Change, measurement: str, reason: str) -> None:
    """The measurement that the change is about fails, with its figure."""
    findings = {
        each.measurement.removeprefix("no_regression."): each
        for each in judged(compared(tmp_path, [], [change])).checks
    }
    assert findings[measurement].state is State.FAIL
    assert reason in findings[measurement].why
    assert findings["errors_more"].state is State.PASS


def test_a_release_that_answers_only_errors_fails_at_once(tmp_path: Path) -> None:
    """Twenty requests are enough, though /health is good; that errors are fast makes it no better."""
    measurements = compared(tmp_path, [], [ERRORS])
    verdict = judged(measurements, {"p99_ratio": 1.25})
    assert verdict.state is State.FAIL
    assert "status 5" in verdict.why
    assert {each.n for each in measurements if each.name.endswith("errors_more")} == {20}


def test_a_release_that_does_not_start_fails(tmp_path: Path) -> None:
    """The previous one starts, so it is the release's fault."""
    verdict = judged(compared(tmp_path, [], [BROKEN]), {"p99_ratio": 1.25})
    assert verdict.state is State.FAIL
    assert "seeded: cannot start" in verdict.why


@pytest.mark.parametrize(
    ("change", "reason"),
    [(BROKEN, "release does not serve: .*seeded: cannot start"), (ERRORS, "fails (18|19|20) of 20 requests; GET .* 5")],
    ids=["does not start", "answers only errors"],
)  # fmt: skip
def test_a_broken_previous_release_decides_nothing(tmp_path: Path, change: Change, reason: str) -> None:
    """It is named, and is never a pass."""
    with pytest.raises(Inconclusive, match=reason):
        compared(tmp_path, [change], [])


class NoCopy(AbstractContextManager[release_pair.ReleasePair]):
    """A pair that cannot be made."""

    def __enter__(self) -> release_pair.ReleasePair:
        raise ConfigurationError("no disk")

    def __exit__(self, *_: object) -> None:
        """Nothing was made."""


def test_without_copies_nothing_is_decided() -> None:
    """The reason is the verdict's."""
    measurements = side_by_side.probe(
        target("http://127.0.0.1:9"), copy=NoCopy(), over=threading.Event(), pairs=500, starts=5
    )
    verdict = judged(measurements)
    assert (verdict.state, verdict.why) == (State.INCONCLUSIVE, "no disk")
    assert len(measurements) == 8

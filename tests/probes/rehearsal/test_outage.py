"""The outage probe detects every wrong answer to an outage; the real server bears all of them."""

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from gaia_checks.errors import Inconclusive
from gaia_checks.model import Measurement
from gaia_checks.probes.rehearsal.copy_protocol import BareCopyProtocol
from gaia_checks.probes.rehearsal.outage import outage_probe
from tests.probes import copies
from tests.probes.servers import target
from tests.support import altered_server
from tests.support.altered_server import Change


def look(executable: Path, folder: Path) -> dict[str, Measurement]:
    """Run the probe on a copy, and return its measurements by their names, without the prefix."""
    with copies.released(executable, folder / "releases") as release, copies.bare_copy_of(release) as copy:
        observed = outage_probe.on_copy(copy, threading.Event())
    return {each.name.removeprefix("outage."): each for each in observed}


def is_good(name: str, each: Measurement) -> bool:
    """Whether a measurement is as it must be."""
    if name in ("answers", "health"):
        return bool(each.value == each.n > 0)
    return bool(each.value < 5) if name == "recovery" else each.value == 0


def test_the_real_server_bears_every_outage(executable: Path, tmp_path: Path) -> None:
    """Every answer is the contract's, the limit is kept, and nothing is left over."""
    observed = look(executable, tmp_path)
    assert [each for name, each in observed.items() if not is_good(name, each)] == []
    assert observed["answers"].n > 200
    assert {name: each.n for name, each in observed.items() if name != "answers"} == {
        "health": 21,
        "recovery": 4,
        "beyond_limit": 4,
        "sessions_leaked": 1,
        "counted_undecided": 1,
    }


UNAVAILABLE = "            await self.close()\n            raise Unavailable("
BACK_OFF = "            import time\n            self.back_off_s = time.monotonic() + 20\n"
DECIDE = "        try:\n            return decisions("
STILL_OFF = (
    "        import time\n        if time.monotonic() < getattr(self, 'back_off_s', 0):\n"
    "            raise Unavailable('backing off')\n"
)
FORGET = "raise error.with_traceback(None) from None"
KEEP = "cls.kept = [*getattr(cls, 'kept', ()), error]\n            raise"
HEALTH = "server.health(connected=connected), status_code=200 if connected else 503"
CANCELLED = """        while not task.done():
            task.cancel()
            await asyncio.wait({task}, timeout=CANCEL_S)
        if not task"""
LEFT = "        if task.done() and not task"
GOOD_HEALTH = "(200, 'connected', 'enabled')"

FAULTS: Mapping[str, tuple[Sequence[Change], Mapping[str, str]]] = {
    "everything passes without the database": (
        [
            ("app_state.py", 'if self.settings.on_db_down == "deny" or isinstance', "if isinstance"),
        ],
        {
            "answers": "a request passed undecided, without RateLimit headers, should be answered 503",
            "beyond_limit": "requests passed a limit of 60",
        },
    ),
    "an outage is an internal error, and /health hides it": (
        [
            ("http/app.py", "await unavailable().response()(scope", "await Problem(500, 'broken').response()(scope"),
            ("http/routes.py", HEALTH, "server.health(connected=True)"),
        ],
        {
            "answers": "answered 500 instead of 503",
            "health": f"stopped: GET /health reports {GOOD_HEALTH}, should be (503, 'disconnected', 'denying')",
        },
    ),
    "requests are refused although they may pass, and it takes long to connect again": (
        [
            ("app_state.py", 'self.settings.on_db_down == "deny" or', "True or"),
            ("limiting/decide.py", UNAVAILABLE, BACK_OFF + UNAVAILABLE),
            ("limiting/decide.py", DECIDE, STILL_OFF + DECIDE),
        ],
        {
            "answers": "was answered 503 without the database, should pass (RATE_LIMIT_ON_DB_DOWN=allow)",
            "recovery": "slowest after: ",
        },
    ),
    "the socket of an attempt to connect stays open": (
        [("connection.py", FORGET, KEEP)],
        {"sessions_leaked": "frozen: "},
    ),
    "a statement goes on after its client was refused": (
        [("connection.py", CANCELLED, LEFT)],
        {"counted_undecided": "of 1 requests that were answered 503 were counted later"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_a_wrong_treatment_of_an_outage_is_detected(fault: str, tmp_path: Path) -> None:
    """Each change of the server's source is named by its own measurements, and by no other."""
    changes, expected = FAULTS[fault]
    observed = look(altered_server.write(tmp_path / "altered", *changes), tmp_path)
    assert {name for name, each in observed.items() if not is_good(name, each)} == set(expected), observed
    for name, note in expected.items():
        assert not note or any(note in given for given in observed[name].notes), observed[name].notes


def test_answers_to_others_than_the_clients_are_observed(tmp_path: Path) -> None:
    """Without the database a list, /readyz and a server without the setting are observed, too."""
    executable = altered_server.write(
        tmp_path / "altered",
        ("settings.py", 'ON_DB_DOWN = ("deny", "allow")', 'ON_DB_DOWN = ("allow", "deny")'),
        ("http/app.py", "            Unavailable: on_unavailable,\n", ""),
        (
            "http/routes.py",
            "    if not await server_of(request).database_answers():\n        passes",
            "    if False:\n        passes",
        ),
        ("app_state.py", "float(self.observed.database)", "1.0"),
    )
    observed = look(executable, tmp_path)
    assert set(observed["answers"].notes) == {
        "stopped: without RATE_LIMIT_ON_DB_DOWN, which is deny then, a request was answered 404, should be 503",
        "stopped: GET /api/admin/quotas/config: answered 500 instead of 503",
        "stopped: GET /readyz answered 200, and no request can be decided",
        "stopped: GET /metrics reports gaia_database_up 1 without the database, should be 0",
    }
    assert observed["health"].notes == (
        "stopped: GET /health reports (503, 'disconnected', 'allowing'), should be (503, 'disconnected', 'denying')",
    )


def test_without_a_rehearsal_copy_there_is_only_a_reason() -> None:
    """Nothing has samples, and every measurement gives the reason."""

    @contextmanager
    def none() -> Iterator[BareCopyProtocol]:
        raise Inconclusive("there can be no rehearsal copy: the disk is full")
        yield

    observed = outage_probe.probe(target("http://127.0.0.1:1"), copy=none(), over=threading.Event())
    assert {(each.n, each.notes) for each in observed} == {(0, ("there can be no rehearsal copy: the disk is full",))}
    assert len(observed) == 6


@pytest.mark.parametrize(
    ("before", "now", "leaked"),
    [
        ([0, 0, 0], 0, 0),
        ([0, 1, 0], 1, 0),
        ([2, 2, 2], 4, 2),
        ([0, 0, 0], 1, 1),
        ([1, None, 1], 1, None),
        ([1], None, None),
    ],
)
def test_sessions_are_leaked_beyond_those_before(
    before: Sequence[int | None], now: int | None, leaked: int | None
) -> None:
    """A server may have none outside its pool; what is not known once is not known."""
    assert outage_probe.leaked(before, lambda _: now) == leaked

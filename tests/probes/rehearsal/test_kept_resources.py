"""The probe names everything that a server keeps of clients that have left; the real server keeps nothing."""

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from gaia_checks.errors import Inconclusive
from gaia_checks.judge import criteria_file, judgement
from gaia_checks.model import CriterionVerdict, State
from gaia_checks.probes.rehearsal import kept_resources
from gaia_checks.probes.rehearsal.copy_protocol import BareCopyProtocol
from tests.probes import copies
from tests.probes.servers import target
from tests.support import altered_server
from tests.support.altered_server import Change

LOADED = criteria_file.load()
CRITERION = next(each for each in LOADED.criteria if each.id == "prod.resources")
NUMBERS = {name: int(number) for name, number in LOADED.looks["resources"].items()}


def look(executable: Path, folder: Path) -> CriterionVerdict:
    """Run the probe on a copy, and judge its measurements."""
    with copies.released(executable, folder / "releases") as release, copies.bare_copy_of(release) as copy:
        observed = kept_resources.on_copy(copy, threading.Event(), **NUMBERS)
    return judgement.judge_measured(CRITERION, observed, rehearsal=False)


def test_the_real_server_keeps_nothing_of_its_clients(executable: Path, tmp_path: Path) -> None:
    """Everything is as before; memory stays far below its bound."""
    verdict = look(executable, tmp_path)
    assert verdict.state is State.PASS, verdict.why
    measured = {each.measurement.removeprefix("resources."): each.measured for each in verdict.checks}
    assert {name: measured[name] for name in kept_resources.COUNTED} == dict.fromkeys(kept_resources.COUNTED, 0)
    assert all(float(measured[name] or 0) < 2.5 for name in ("memory", "memory_by_kind")), measured


LOST = "        super().connection_lost(exc)\n        self.flow.stop()\n"
SPOOL = """        if self._in_head or (self.cycle and not self.cycle.response_complete):
            self.loop.__dict__.setdefault("spools", []).append(open("/dev/null"))
"""
LOGIN = "    response = Response(status_code=204)\n"
THREAD = """    import threading
    threading.Thread(target=threading.Event().wait, daemon=True).start()
"""
TAKEN = "        except psycopg.errors.UniqueViolation as error:\n"
AUDIT = "            self.__dict__.setdefault('audits', []).append(await connection.connect(self._dsn))\n"
NOT_FOUND = "async def on_http_exception(request: Request, error: Exception) -> Response:\n"
DOC = '    """Answer a refusal of the router: an unknown path or method."""\n'
REPORT = """    import subprocess
    subprocess.Popen(("sleep", "60"), stdin=subprocess.DEVNULL)
"""
COUNT = "        started, status = time.perf_counter(), 500\n"
BODY = "        self.__dict__.setdefault('bodies', []).append(bytearray(50_000))\n"
ACCEPT = "    await websocket.accept()  # without it"
PINGING = "    asyncio.create_task(_ping(websocket))\n"
READ = "async def _read(websocket: WebSocket) -> None:\n"
PING = "async def _ping(websocket):\n    await asyncio.sleep(3600)\n    await websocket.send_text('{}')\n\n\n"
LISTEN = "        listen(server),\n"
EVERY = "        repeat(0.1, lambda: asyncio.sleep(0, CACHE.append(bytearray(500_000)))),\n"
STATS = "STATS_S = 5.0\n"

FAULTS: Mapping[str, tuple[Sequence[Change], Mapping[str, str]]] = {
    "clients stay in the hub, and each name that is taken leaves a session": (
        [
            ("push/hub.py", "        self.clients.discard(client)", "        self.clients.intersection({client})"),
            ("storage/store.py", TAKEN, TAKEN + AUDIT),
        ],
        {"websocket_clients": "after 1200 clients left", "sessions": "most by 300 faulty requests", "descriptors": ""},
    ),
    "a file for each request that is broken off, and a thread for each login": (
        [("http/bounded_protocol.py", LOST, SPOOL + LOST), ("http/routes.py", LOGIN, THREAD + LOGIN)],
        {"descriptors": "after 3000 clients left", "threads": "most by 300 logins"},
    ),
    "a process for each path that is not found": (
        [("problem.py", NOT_FOUND + DOC, NOT_FOUND + DOC + REPORT)],
        {"processes": "most by 300 faulty requests", "descriptors": "", "threads": ""},
    ),
    "50 kB of each request": ([("http/app.py", COUNT, BODY + COUNT)], {"memory": "MB by 3000 clients"}),
    "a task for each WebSocket": (
        [("http/websocket.py", ACCEPT, PINGING + ACCEPT), ("http/websocket.py", READ, PING + READ)],
        {"memory_by_kind": "WebSockets"},
    ),
    "5 MB a second": (
        [("live.py", LISTEN, EVERY + LISTEN), ("live.py", STATS, "CACHE: list = []\n" + STATS)],
        {"memory": "MB by 3000 clients"},
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_kept_of_clients_is_named(fault: str, tmp_path: Path) -> None:
    """Each change of the server's source is named by what it keeps, and by nothing else but its memory."""
    changes, expected = FAULTS[fault]
    verdict = look(altered_server.write(tmp_path / "altered", *changes), tmp_path)
    failed = {
        each.measurement.removeprefix("resources."): each.why for each in verdict.checks if each.state is not State.PASS
    }
    assert verdict.state is State.FAIL
    assert set(expected) <= set(failed) <= {*expected, "memory", "memory_by_kind"}, failed
    for name, note in expected.items():
        assert note in failed[name]


def test_a_server_that_stops_to_serve_is_named(tmp_path: Path) -> None:
    """Sessions that errors take from the pool are missing to the clients after them."""
    leak = "            await self._pool.getconn()\n"
    verdict = look(altered_server.write(tmp_path / "altered", ("storage/store.py", TAKEN, TAKEN + leak)), tmp_path)
    assert verdict.state is State.FAIL
    assert "status 503 after all clients had left" in next(
        each.why for each in verdict.checks if each.measurement == "resources.answered"
    )


def test_without_a_rehearsal_copy_there_is_only_a_reason() -> None:
    """Nothing has samples, and every measurement gives the reason."""

    @contextmanager
    def none() -> Iterator[BareCopyProtocol]:
        raise Inconclusive("there can be no rehearsal copy: the disk is full")
        yield

    observed = kept_resources.probe(target("http://127.0.0.1:1"), copy=none(), over=threading.Event(), **NUMBERS)
    assert {(each.n, each.notes) for each in observed} == {(0, ("there can be no rehearsal copy: the disk is full",))}
    assert {each.name for each in observed} == {check.measurement for check in CRITERION.checks if not check.closing}


def test_a_gate_that_is_over_ends_the_look(executable: Path, tmp_path: Path) -> None:
    """It does not wait for clients that nobody judges any more."""
    over = threading.Event()
    over.set()
    with (
        copies.released(executable, tmp_path / "releases") as release,
        copies.bare_copy_of(release) as copy,
        pytest.raises(Inconclusive, match="the gate was over"),
    ):
        kept_resources.on_copy(copy, over, **NUMBERS)

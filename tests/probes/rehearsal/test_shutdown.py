"""The shutdown probe detects every way to stop wrongly or to lose what is stored; the real server stops as promised."""

import asyncio
import itertools
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from gaia_checks.errors import Inconclusive
from gaia_checks.model import Measurement, Target
from gaia_checks.probes.rehearsal import shutdown
from gaia_checks.probes.rehearsal.copy_protocol import BareCopyProtocol
from tests.probes import copies
from tests.probes.servers import target
from tests.support import altered_server
from tests.support.altered_server import Change

CLIENTS = 5
GOOD = {
    "port_obeyed": True,
    "answered": 20,
    "closed_with_1012": CLIENTS,
    "exit_code_clean": True,
    "left": 0,
    "kept": 10,
}


def look(executable: Path, folder: Path) -> dict[str, Measurement]:
    """Run the probe on a copy, and return its measurements by their names, without the prefix."""
    with copies.released(executable, folder / "releases") as release, copies.bare_copy_of(release) as copy:
        observed = shutdown.on_copy(copy, CLIENTS)
    return {each.name.removeprefix("shutdown."): each for each in observed}


def test_the_real_server_stops_as_promised(executable: Path, tmp_path: Path) -> None:
    """Every request is answered, every WebSocket closed with 1012, nothing is left, and nothing stored is lost."""
    observed = look(executable, tmp_path)
    notes = [note for each in observed.values() for note in each.notes]
    assert notes == []
    exit_s = observed.pop("exit")
    assert 0.5 <= exit_s.value < 10
    assert {name: each.value for name, each in observed.items()} == GOOD


def test_a_request_that_is_sent_late_is_under_way_all_the_same(
    executable: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a busy machine some requests leave when others wait already: SIGTERM follows the last of them."""
    number = itertools.count()

    class Late(httpx.AsyncHTTPTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            await asyncio.sleep(0.02 * next(number))
            return await super().handle_async_request(request)

    def late(target: Target) -> httpx.AsyncClient:
        headers = {"X-API-Key": target.key, "Authorization": f"Bearer {target.admin_token}"}
        return httpx.AsyncClient(base_url=target.base_url, headers=headers, transport=Late())

    monkeypatch.setattr(shutdown, "async_client", late)
    answered = look(executable, tmp_path)["answered"]
    assert (answered.value, answered.n, answered.notes) == (20, 20, ())


def at_start(statement: str) -> Change:
    """Execute a statement whenever the server starts."""
    old = "    await server.store.open()\n"
    connect = "psycopg.connect(server.settings.database_url, autocommit=True)"
    return "live.py", old, f'{old}    with {connect} as session:\n        session.execute("{statement}")\n'


def on_sigterm(code: str) -> Change:
    """Execute code at SIGTERM, and nothing else."""
    return before_serving(f"uvicorn.Server.handle_exit = lambda *_: {code}")


def before_serving(code: str) -> Change:
    """Execute code when the sockets are open."""
    return "__main__.py", "    logs.configure()\n", f"    logs.configure()\n    {code}\n"


SEED = (
    "INSERT INTO rate_limit_configs (rule_name, scope, limit_type, limit_value)"
    " VALUES ('default-ip-second', 'ip', 'requests_per_second', 10)"
    " ON CONFLICT (rule_name) DO UPDATE SET limit_value = 10"
)
CHILD = "import subprocess; subprocess.Popen(['sleep', '60'], start_new_session=True, pass_fds=[sockets[0].fileno()])"
CLOSING = "    def _refuse_handshake(self)"

FAULTS: Mapping[str, tuple[Sequence[Change], Mapping[str, tuple[object, str]]]] = {
    "running requests are cancelled, and the defaults are seeded over what was edited": (
        [("__main__.py", "DRAIN_S = 5", "DRAIN_S = 0"), at_start(SEED)],
        {
            "answered": (0, "a request under way at SIGTERM "),
            "kept": (8, "after SIGTERM: limit_value of the rule default-ip-second is 10 instead of 11"),
        },
    ),
    "the process ends at once, and counts start anew": (
        [
            on_sigterm("os._exit(0)"),
            at_start("DELETE FROM resource_quotas"),
        ],
        {
            "answered": (0, "a request under way at SIGTERM got no answer (RemoteProtocolError"),
            "closed_with_1012": (0, "closed with 1006, should be 1012"),
            "kept": (8, "after SIGTERM: daily_quota: GET /api/admin/quotas/usage reports 0 used and 20 left"),
        },
    ),
    "the last decisions are not stored": (
        [("live.py", "        await _flush_stats(server)\n", "")],
        {"kept": (8, "after SIGTERM: GET /api/admin/quotas/analytics counts ")},
    ),
    "a child is left with the socket, WebSockets are closed as after an error, and the exit code is 1": (
        [
            before_serving(CHILD),
            (
                "http/bounded_websocket.py",
                CLOSING,
                "    def shutdown(self):\n        self._fail(CloseCode.INTERNAL_ERROR, 'stopped')\n\n" + CLOSING,
            ),
            ("__main__.py", "raise SystemExit(0)", "raise SystemExit(1)"),
        ],
        {
            "closed_with_1012": (0, "closed with 1011, should be 1012"),
            "exit_code_clean": (False, "exit code 1, should be 0 (143 is accepted)"),
            "left": (2, "sleep (pid "),
            "kept": (0, "after SIGTERM: started with PORT="),
        },
    ),
    "SIGTERM is ignored, and alerts are forgotten": (
        [
            on_sigterm("None"),
            at_start("DELETE FROM rate_limit_alerts"),
        ],
        {
            "closed_with_1012": (0, "closed with 1006, should be 1012"),
            "exit": (12.5, "SIGTERM did not end it within 12 s"),
            "left": (2, "(pid "),
            "exit_code_clean": (False, "SIGTERM did not end it within 12 s"),
            "kept": (8, "after SIGTERM: the alert violations_per_minute is lost"),
        },
    ),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_a_wrong_stop_is_detected(fault: str, tmp_path: Path) -> None:
    """Each change of the server's source is named by its own measurements, and by no other."""
    changes, expected = FAULTS[fault]
    observed = look(altered_server.write(tmp_path / "altered", *changes), tmp_path)
    for name, (value, note) in expected.items():
        each = observed[name]
        assert each.value == pytest.approx(value, abs=0.5)
        assert any(note in given for given in each.notes), each.notes
    others = {name: observed[name].value for name in GOOD if name not in expected}
    assert others == {name: value for name, value in GOOD.items() if name not in expected}


def test_a_server_that_listens_elsewhere_is_named(tmp_path: Path) -> None:
    """A fixed port in place of PORT is the fault, and nothing else is decided."""
    fixed = ("__main__.py", "listener.bind((chosen.host, chosen.port))", "listener.bind((chosen.host, 0))")
    observed = look(altered_server.write(tmp_path / "altered", fixed), tmp_path)
    obeyed = observed.pop("port_obeyed")
    assert (obeyed.value, obeyed.n) == (False, 1)
    assert "it listens on port " in obeyed.notes[0]
    assert {each.n for each in observed.values()} == {0}


def test_without_a_rehearsal_copy_there_is_only_a_reason() -> None:
    """Nothing has samples, and every measurement gives the reason."""

    @contextmanager
    def none() -> Iterator[BareCopyProtocol]:
        raise Inconclusive("there can be no rehearsal copy: the disk is full")
        yield

    observed = shutdown.probe(target("http://127.0.0.1:1"), copy=none(), clients=CLIENTS)
    assert {(each.n, each.notes) for each in observed} == {(0, ("there can be no rehearsal copy: the disk is full",))}
    assert len(observed) == 7

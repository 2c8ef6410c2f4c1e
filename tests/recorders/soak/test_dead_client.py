"""A client that answers no ping is closed by a server that pings, and by no other."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from gaia_checks.model import Names, Target
from gaia_checks.recorders.soak import dead_client
from gaia_checks.recorders.soak.dead_client import DeadClient
from tests.probes.conftest import migrated
from tests.probes.servers import real
from tests.support import altered_server

PINGS = "        ws_per_message_deflate=False,\n"


def look(at: Target, window_s: float = 60.0) -> DeadClient:
    """Leave a client alone."""
    return asyncio.run(dead_client.left_alone(at, window_s))


@pytest.mark.parametrize(("interval_s", "closed"), [(0.2, True), (None, False)])
def test_a_dead_client_is_closed_by_a_server_that_pings(
    postgres: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, interval_s: float | None, closed: bool
) -> None:
    """A server that has switched its pings off keeps it. All times are shorter; the ratio is that of a real soak."""
    monkeypatch.setattr(dead_client, "DEAD_S", 2.0)
    monkeypatch.setattr(dead_client, "_CLOSED_WITHIN_S", 1.0)
    pings = f"        ws_ping_interval={interval_s},\n        ws_ping_timeout=0.2,\n"
    program = altered_server.write(tmp_path / "pinging", ("__main__.py", PINGS, PINGS + pings))
    with migrated(postgres) as dsn, real(program, dsn, tmp_path / "log") as at:
        observed = look(at)
    assert (observed.closed, observed.n) == (closed, 1)
    assert ("1011" if closed else "still open to a client that answered nothing for 2 s") in observed.notes[0]


def test_what_cannot_be_seen_is_not_tried(server: Target) -> None:
    """A soak that is too short, a server with a protocol of its own, and one that is not there decide nothing."""
    assert look(server, window_s=12) == dead_client.NOT_YET
    renamed = look(replace(server, names=Names(fields={"type": "kind"})))
    gone = look(replace(server, base_url="http://127.0.0.1:9"))
    assert {dead.n for dead in (dead_client.NOT_YET, renamed, gone)} == {0}
    reasons = ("the soak was over", "a server of other names", "the handshake failed")
    for dead, reason in zip((dead_client.NOT_YET, renamed, gone), reasons, strict=True):
        assert dead.notes[0].startswith(f"not checked: {reason}")

"""The WebSocket probe: the real server is in time; a missing message counts as too late."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket

from gaia_checks.deploy.supervisor.spawn import free_port
from gaia_checks.errors import TargetUnreachable
from gaia_checks.model import Measurement, Names, Target
from gaia_checks.probes import websocket
from gaia_checks.target.ws_messages import PATH
from tests.probes.modified import modified
from tests.probes.servers import answering, serving, target

NOW = "2026-02-26T10:00:00.000Z"


def look(at: Target, within_s: float = 0.4) -> dict[str, Measurement]:
    """Run a short probe and return its measurements, without the prefix of their names."""
    observed = websocket.probe(at, stats_within_s=within_s, heartbeat_within_s=within_s, tolerance_s=0.1)
    return {measurement.name.removeprefix("websocket."): measurement for measurement in observed}


def message(kind: str, seq: Any, **changes: Any) -> dict[str, Any]:
    """A correct message, with changes."""
    return {"type": kind, "timestamp": NOW, "seq": seq, "data": {}, **changes}


def talking(talk: Callable[[WebSocket], Awaitable[None]]) -> WebSocketRoute:
    """A WebSocket that sends the messages of `talk`, then nothing until the client disconnects."""

    async def handle(socket: WebSocket) -> None:
        await socket.accept()
        await talk(socket)
        await socket.receive()

    return WebSocketRoute(PATH, handle)


def saying(*messages: Any) -> WebSocketRoute:
    """A WebSocket that sends these messages."""

    async def talk(socket: WebSocket) -> None:
        for one in messages:
            await (socket.send_json(one) if isinstance(one, dict | list) else socket.send_text(one))

    return talking(talk)


async def saying_both(socket: WebSocket) -> None:
    """Send one of each awaited message."""
    await socket.send_json(message("stats", 1))
    await socket.send_json(message("heartbeat", 2))


def test_the_real_server_is_in_time(server: Target) -> None:
    """Stats within 5 s, a heartbeat within 10 s, every message correct."""
    observed = websocket.probe(server, stats_within_s=5, heartbeat_within_s=10, tolerance_s=1)
    values = {measurement.name: measurement.value for measurement in observed}
    assert values["websocket.connected"] is True
    assert 0 <= values["websocket.first_stats"] <= 6
    assert 0 <= values["websocket.first_heartbeat"] <= 11
    assert values["websocket.bad_messages"] == 0
    assert 0 <= values["websocket.stats_at_once"] < 2
    assert values["websocket.bounds_kept"] == 2
    (contents,) = [each for each in observed if each.name == "websocket.contents"]
    assert contents.value == contents.n >= 2


def test_without_the_token_the_real_server_refuses(server: Target) -> None:
    """A refused connection is a failure with its reason."""
    observed = look(target(server.base_url))
    assert (observed["connected"].value, observed["connected"].n) == (False, 1)
    assert "4401" in observed["connected"].notes[0]


def test_both_messages_end_the_look_at_once() -> None:
    """The probe finishes once all awaited messages have arrived."""
    with serving(saying(message("stats", 1), message("heartbeat", 2))) as url:
        observed = look(target(url), within_s=30)
    assert observed["connected"].value is True
    assert observed["first_stats"].value < 5
    assert observed["bad_messages"].n == 2


@pytest.mark.parametrize(("comes", "missing"), [("stats", "heartbeat"), ("heartbeat", "stats")])
def test_what_never_comes_is_too_late(comes: str, missing: str) -> None:
    """A missing message is measured as longer than allowed, so that it fails."""
    with serving(saying(message(comes, 1))) as url:
        observed = look(target(url))
    assert observed[f"first_{comes}"].value < 0.4
    assert observed[f"first_{missing}"].value > 0.5
    assert observed[f"first_{missing}"].n == 1
    assert f"no {missing} came within" in observed[f"first_{missing}"].notes[0]


def test_a_connection_that_ends_early_is_no_connection() -> None:
    """A server that closes the connection fails, and missing messages count as too late."""

    async def hang_up(socket: WebSocket) -> None:
        await socket.send_json(message("stats", 1))
        await socket.close(1011)

    with serving(talking(hang_up)) as url:
        observed = look(target(url))
    assert observed["connected"].value is False
    assert "1011" in observed["connected"].notes[0]
    assert observed["first_heartbeat"].value > 0.5


def test_a_bad_message_is_counted_and_named() -> None:
    """Every message is checked for shape and sequence."""
    with serving(saying(message("stats", 1), "{", message("heartbeat", 2))) as url:
        observed = look(target(url))
    assert (observed["bad_messages"].value, observed["bad_messages"].n) == (1, 3)
    assert observed["bad_messages"].notes == ("message 2: no JSON object in a text frame",)


def test_first_stats_that_come_with_a_broadcast_are_late_for_the_next_client() -> None:
    """A client that connects right after a broadcast shows that nothing is sent at once."""
    served = itertools.count()

    async def broadcast_only(socket: WebSocket) -> None:
        if next(served) == 0:
            await saying_both(socket)

    with serving(talking(broadcast_only)) as url:
        observed = look(target(url))
    assert observed["first_stats"].value < 0.4
    assert observed["stats_at_once"].value > 0.5
    assert "no stats came within" in observed["stats_at_once"].notes[0]


def test_a_server_that_compresses_and_reads_messages_of_any_size_breaks_its_bounds() -> None:
    """Compression is not negotiated, and a message above 4 KiB ends the connection."""

    async def talk(socket: WebSocket) -> None:
        await saying_both(socket)
        while (await socket.receive())["type"] != "websocket.disconnect":
            pass

    with serving(talking(talk)) as url:
        observed = look(target(url))
        mapped = look(target(url, names=Names(fields={"rule_id": "RuleID"})))
    bounds = observed["bounds_kept"]
    assert (bounds.value, bounds.n) == (0, 2)
    assert "negotiated permessage-deflate" in bounds.notes[0]
    assert "did not close the connection within 2 s, should be 1009" in bounds.notes[1]
    own = "not checked: a server of other names has a protocol of its own"
    assert [(mapped[name].n, mapped[name].notes) for name in ("bounds_kept", "contents")] == [(0, (own,))] * 2


def test_a_message_that_lacks_what_is_promised_is_named(postgres: str, tmp_path: Path) -> None:
    """A page that shows the alerts of the stats fails without them, although the message has the right shape."""
    lost = ("gaia_server/app_state.py", '"alerts": self.watch.to_json(),', '"alarms": self.watch.to_json(),')
    with modified(postgres, tmp_path / "source", lost) as at:
        observed = websocket.probe(at, stats_within_s=5, heartbeat_within_s=10, tolerance_s=1)
    (contents,) = [each for each in observed if each.name == "websocket.contents"]
    assert 1 <= contents.value < contents.n, "heartbeats are complete, stats are not"
    assert set(contents.notes) == {"stats without alerts"}


def test_a_flood_does_not_prolong_the_look() -> None:
    """Endless messages of other types do not prolong the probe."""

    async def chatter(socket: WebSocket) -> None:
        for seq in itertools.count(1):
            await socket.send_json(message("alert", seq))
            await asyncio.sleep(0.005)

    with serving(talking(chatter)) as url:
        observed = look(target(url))
    assert observed["first_stats"].value > 0.5
    assert observed["bad_messages"].value == 0


def test_a_path_that_is_no_websocket_is_not_connected() -> None:
    """A plain HTTP answer to the handshake is a failure of the server."""
    with serving(answering(PATH, {})) as url:
        observed = look(target(url))
    assert [*observed] == ["connected"]
    assert observed["connected"].value is False


def test_no_listener_is_no_data() -> None:
    """Without a listener the probe raises TargetUnreachable."""
    with pytest.raises(TargetUnreachable, match="nothing listens there"):
        look(target(f"http://127.0.0.1:{free_port()}"))

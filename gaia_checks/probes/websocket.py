"""Whether the live WebSocket connects, and sends its promised messages in time."""

import contextlib
import socket
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from websockets.exceptions import ConnectionClosed, InvalidHandshake
from websockets.sync.client import ClientConnection, connect

from gaia_checks.errors import TargetUnreachable
from gaia_checks.model import NOT_CHECKED, Measurement, Target
from gaia_checks.target.client import CONNECT_S, message, reply, resolve, websocket_headers, websocket_url
from gaia_checks.target.samples import Score, Watch
from gaia_checks.target.ws_messages import PATH, Stream, incomplete

_BEYOND_S = 0.5  # the wait beyond the limit, so that a missing message is certainly too late
_FIRST = {"stats": 1, "heartbeat": 1}
_PUSHED = {"stats": 2, "heartbeat": 1}  # a server may send the first stats itself, whatever became of its hub
_AT_ONCE = {"stats": 1}
_TOO_LARGE = "x" * 5000  # a client's message may have 4 KiB
_CLOSED_WITHIN_S = 2.0
_MESSAGE_TOO_BIG = 1009
_OTHER_NAMES = "a server of other names has a protocol of its own"


@dataclass
class _Observed:
    """The observations of one connection."""

    closed: str | None = None  # why the server closed it; None while open
    times_s: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))  # type -> after the handshake
    stream: Stream = field(default_factory=Stream)
    contents: Score = field(default_factory=Score)  # of stats and heartbeats

    def lacks(self, awaited: Mapping[str, int]) -> list[str]:
        """Return the types of which fewer messages came than awaited."""
        return [kind for kind, count in awaited.items() if len(self.times_s[kind]) < count]


def probe(target: Target, *, stats_within_s: float, heartbeat_within_s: float, tolerance_s: float) -> list[Measurement]:
    """Connect and wait for the first stats and heartbeat. A missing one is measured as longer than allowed.

    A second client connects right after a broadcast, when the next one is far: what it receives at once was sent to it
    alone. Raises TargetUnreachable when nothing listens.
    """
    watch, observed = Watch(), _Observed()
    patience_s = max(stats_within_s, heartbeat_within_s) + tolerance_s + _BEYOND_S
    try:
        with connected(target) as connection:
            _listen(target, connection, patience_s, observed, _FIRST)
    except (InvalidHandshake, OSError, EOFError) as error:
        return [_not_connected(watch, f"{PATH}: the handshake failed: {error or type(error).__name__}")]
    notes = (observed.closed,) if observed.closed else ()
    still_open = observed.closed is None
    second = [] if observed.lacks(_FIRST) else _second_client(target, watch, patience_s)
    return [
        watch.measurement("websocket.connected", still_open, "bool", 1, "handshake, and still open at the end", notes),
        *(_first(watch, observed, kind, patience_s) for kind in _FIRST),
        watch.measurement(
            "websocket.bad_messages", len(observed.stream.wrong), "count", observed.stream.count,
            "messages of another shape, or whose seq is not one more than the last", observed.stream.wrong,
        ),
        _contents(watch, observed.contents),
        *second,
    ]  # fmt: skip


def _second_client(target: Target, watch: Watch, patience_s: float) -> list[Measurement]:
    """Measure when one more client receives stats, and whether the server keeps its bounds with it."""
    observed, bounds = _Observed(), Score()
    try:
        with connected(target) as connection:
            _listen(target, connection, patience_s, observed, _AT_ONCE)
            if not target.translated:  # a server of other names has a protocol of its own
                bounds.add(_compressing(connection))
                bounds.add(observed.closed or _reading_on(connection))
    except (TargetUnreachable, InvalidHandshake, OSError, EOFError) as error:
        observed.closed = f"{PATH}: one more client could not connect: {error or type(error).__name__}"
    times_s = observed.times_s["stats"]
    notes = () if times_s else (observed.closed or f"no stats came within {patience_s:g} s",)
    how = "from the handshake of a client that connects right after a heartbeat to its first stats"
    kept = "no compression negotiated, and a message above 4 KiB closed with 1009"
    unknown = () if bounds.tried else (f"{NOT_CHECKED}{observed.closed or _OTHER_NAMES}",)
    return [
        watch.measurement("websocket.stats_at_once", (*times_s, patience_s)[0], "s", 1, how, notes),
        watch.measurement("websocket.bounds_kept", bounds.good, "count", bounds.tried, kept, (*bounds.wrong, *unknown)),
    ]


def _contents(watch: Watch, contents: Score) -> Measurement:
    how = "stats and heartbeats with all that the contract promises"
    notes = contents.wrong if contents.tried else (f"{NOT_CHECKED}{_OTHER_NAMES}",)
    return watch.measurement("websocket.contents", contents.good, "count", contents.tried, how, notes)


def _compressing(connection: ClientConnection) -> str | None:
    """Return which extension the server negotiated, which the client offered."""
    names = [extension.name for extension in connection.protocol.extensions]
    return f"{PATH}: the server negotiated {names[0]}; it must not compress" if names else None


def _reading_on(connection: ClientConnection) -> str | None:
    """Send a message that is too large; return what happens instead of the promised close."""
    what, deadline_s = f"{PATH}: a message of {len(_TOO_LARGE)} bytes", time.monotonic() + _CLOSED_WITHIN_S
    try:
        connection.send(_TOO_LARGE)
        while True:
            connection.recv(timeout=max(0.0, deadline_s - time.monotonic()))
    except TimeoutError:
        return f"{what} did not close the connection within {_CLOSED_WITHIN_S:g} s, should be {_MESSAGE_TOO_BIG}"
    except ConnectionClosed as closed:
        code = closed.rcvd.code if closed.rcvd else None
        return None if code == _MESSAGE_TOO_BIG else f"{what}: closed with {code}, should be {_MESSAGE_TOO_BIG}"


def not_pushed(target: Target, *, stats_within_s: float, heartbeat_within_s: float, tolerance_s: float) -> str | None:
    """Connect once more; return what a fresh client does not receive in time, None when it receives everything."""
    observed, patience_s = _Observed(), max(2 * stats_within_s, heartbeat_within_s) + tolerance_s + _BEYOND_S
    try:
        with connected(target) as connection:
            _listen(target, connection, patience_s, observed, _PUSHED)
    except (TargetUnreachable, InvalidHandshake, OSError, EOFError) as error:
        return f"{PATH}: no connection: {error or type(error).__name__}"
    if lacking := observed.lacks(_PUSHED):
        kind = lacking[0]
        came = f"{len(observed.times_s[kind])} of {_PUSHED[kind]} {kind} came within {patience_s:g} s"
        return f"{PATH}: {observed.closed or came}"
    return None


@contextlib.contextmanager
def connected(target: Target) -> Iterator[ClientConnection]:
    """Yield a connection to the live WebSocket. Raises TargetUnreachable, InvalidHandshake or OSError."""
    url = urlsplit(target.websocket_url)
    with connect(
        websocket_url(target, PATH),
        sock=_dial(target, url.hostname or "", url.port or (443 if url.scheme == "wss" else 80)),
        additional_headers=websocket_headers(target),
        open_timeout=CONNECT_S,
        close_timeout=CONNECT_S,
        proxy=None,
    ) as connection:
        yield connection


def _dial(target: Target, host: str, port: int) -> socket.socket:
    resolve(target.base_url)
    try:
        return socket.create_connection((host, port), timeout=CONNECT_S)
    except OSError as error:
        raise TargetUnreachable(f"{target.base_url}: nothing listens there ({error}); is it running?") from error


def _listen(
    target: Target, connection: ClientConnection, patience_s: float, observed: _Observed, awaited: Mapping[str, int]
) -> None:
    """Take messages until all awaited ones have arrived, the connection closes or the time is over."""
    start = time.monotonic()
    while observed.lacks(awaited):
        try:
            frame = connection.recv(timeout=max(0.0, start + patience_s - time.monotonic()))
        except TimeoutError:
            return
        except ConnectionClosed as closed:
            observed.closed = f"the server closed the connection after {time.monotonic() - start:.1f} s: {closed}"
            return
        if (owed := reply(target, frame)) is not None:
            connection.send(owed)
        kind = observed.stream.take(message(target, frame))
        if kind in _FIRST and not target.translated:
            observed.contents.add(incomplete(frame))
        if kind is not None:
            observed.times_s[kind].append(round(time.monotonic() - start, 3))


def _first(watch: Watch, observed: _Observed, kind: str, patience_s: float) -> Measurement:
    times_s = observed.times_s[kind]
    notes = () if times_s else (observed.closed or f"no {kind} came within {patience_s:g} s",)
    how, first_s = f"from the handshake to the first {kind}", (*times_s, patience_s)[0]
    return watch.measurement(f"websocket.first_{kind}", first_s, "s", 1, how, notes)


def _not_connected(watch: Watch, why: str) -> Measurement:
    return watch.measurement("websocket.connected", False, "bool", 1, "handshake", (why,))

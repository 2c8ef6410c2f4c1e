"""Clients that race for limits over keep-alive connections, and record their responses."""

import asyncio
import itertools
import math
import threading
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import uvloop

from gaia_checks.judge.admissions import TimedAnswer

PATH = "/api/nothing"
"""Limited as everything below /api/, and cheap: admitted, it is a 404."""

ADMITTED, REFUSED, UNDECIDED = 404, 429, 503
ANSWER_WITHIN_S = 30.0
PAUSE_S = 0.02  # before a client without a decision retries

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass(frozen=True, slots=True)
class Seen:
    """One request as its client observed it; times on the monotonic clock."""

    key: str
    sent_s: float
    received_s: float  # infinity: the connection was lost before the response was complete
    status: int | None  # None: no response
    retry_after: str | None = None

    @property
    def admitted(self) -> bool | None:
        """Whether the limiter admitted it; None when the response is no decision."""
        return None if self.status in (None, UNDECIDED) else self.status == ADMITTED

    def answer(self) -> TimedAnswer:
        """Return it in the judge's format."""
        return TimedAnswer(self.sent_s, math.inf if self.admitted is None else self.received_s, self.admitted)


class LoopThread:
    """Runs `_main` on an event loop in a thread of its own inside `with`; leaving stops it and raises its error."""

    def __init__(self, name: str) -> None:
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name)
        self._broken: BaseException | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stopped.set()
        self._thread.join()
        self._check()  # also after a failed wait: this may be its cause

    async def _main(self) -> None:
        """Work until `_stopped` is set."""
        raise NotImplementedError

    def _check(self) -> None:
        if self._broken is not None:
            raise self._broken

    def _run(self) -> None:
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(self._main())
        except BaseException as error:  # noqa: BLE001 - raised again on leaving `with`
            self._broken = error


class Race(LoopThread):
    """Many clients that take their next user name from `keys`, each after the response to its last request.

    They run in a separate thread inside `with`, spread over the servers at `ports` of this machine; leaving `with` lets
    each finish its request. Until then they reconnect to a server that has gone.
    """

    def __init__(self, ports: Sequence[int], keys: Iterable[str], *, clients: int) -> None:
        super().__init__("race")
        self.seen: list[Seen] = []
        self._ports = ports
        self._keys = iter(keys)
        self._clients = clients

    def finish(self) -> list[Seen]:
        """Wait until all keys have been used, and return the observations."""
        self._thread.join()
        self._check()
        return self.seen

    def admitted(self) -> int:
        """Return the number of admissions so far."""
        self._check()
        return sum(one.admitted is True for one in self.seen.copy())

    async def _main(self) -> None:
        async with asyncio.TaskGroup() as group:
            for number in range(self._clients):
                group.create_task(self._client(self._ports[number % len(self._ports)]))

    async def _client(self, port: int) -> None:
        streams: Streams | None = None
        for key in self._keys_until_stopped():
            streams = streams or await connected(port)
            if streams is None:
                await asyncio.sleep(PAUSE_S)
                continue
            observation, reusable = await send(streams, key)
            self.seen.append(observation)
            if not reusable:
                streams[1].close()
                streams = None
            if observation.admitted is None:
                await asyncio.sleep(PAUSE_S)
        if streams:
            streams[1].close()

    def _keys_until_stopped(self) -> Iterator[str]:
        for key in self._keys:
            if self._stopped.is_set():
                return
            yield key


def cycle(name: str, keys: int) -> Iterator[str]:
    """Cycle through `keys` user names that begin with `name`, without end."""
    return itertools.cycle([f"{name}-{number}" for number in range(keys)])


def by_key(observations: Iterable[Seen]) -> dict[str, list[TimedAnswer]]:
    """Return the observations of each key in the judge's format."""
    found = defaultdict(list)
    for one in observations:
        found[one.key].append(one.answer())
    return found


async def connected(port: int) -> Streams | None:
    """Connect to a server of this machine; return None where nothing listens."""
    try:
        return await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return None


async def send(streams: Streams, key: str) -> tuple[Seen, bool]:
    """Send one request; return the observation, and whether the connection is reusable."""
    reader, writer = streams
    sent_s = time.monotonic()
    try:
        async with asyncio.timeout(ANSWER_WITHIN_S):
            writer.write(f"GET {PATH} HTTP/1.1\r\nHost: localhost\r\nX-User-ID: {key}\r\n\r\n".encode())
            head = await reader.readuntil(b"\r\n\r\n")
            status, headers = _head(head.decode("latin-1"))
            await reader.readexactly(int(headers.get("content-length", "0")))
    except (OSError, asyncio.IncompleteReadError):
        return Seen(key, sent_s, math.inf, None), False
    if status not in (ADMITTED, REFUSED, UNDECIDED):
        raise RuntimeError(f"GET {PATH} returned {status}; expected {ADMITTED}, {REFUSED} or {UNDECIDED}")
    reusable = headers.get("connection") != "close"
    return Seen(key, sent_s, time.monotonic(), status, headers.get("retry-after")), reusable


def _head(text: str) -> tuple[int, dict[str, str]]:
    first, *lines = text.rstrip().split("\r\n")
    return int(first.split(" ", 2)[1]), {
        name.lower(): value.strip() for name, _, value in (x.partition(":") for x in lines)
    }

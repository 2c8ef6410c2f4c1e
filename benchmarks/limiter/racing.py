"""Clients that race for limits over keep-alive connections, and write down what each of them saw."""

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

from gaia_checks.judge.admissions import Answer

PATH = "/api/nothing"
"""Limited as everything below /api/, and cheap: admitted, it is a 404."""

ADMITTED, REFUSED, UNDECIDED = 404, 429, 503
ANSWER_WITHIN_S = 30.0
PAUSE_S = 0.02  # before somebody who got no decision asks again

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass(frozen=True, slots=True)
class Seen:
    """One request as its client saw it; times on the monotonic clock."""

    key: str
    sent_s: float
    received_s: float  # infinity: the connection was lost before the answer was whole
    status: int | None  # None: no answer
    retry_after: str | None = None

    @property
    def admitted(self) -> bool | None:
        """Whether the limiter let it pass; None when the answer does not say."""
        return None if self.status in (None, UNDECIDED) else self.status == ADMITTED

    def answer(self) -> Answer:
        """What the judge is told."""
        return Answer(self.sent_s, math.inf if self.admitted is None else self.received_s, self.admitted)


class Race:
    """Many clients asking as `keys` (user names) come, each client its next when it has its answer.

    They run in a thread of their own from `with` on, spread over the servers at `ports` of this machine; leaving
    `with` lets each finish its request and end. A server that goes away is asked again until then.
    """

    def __init__(self, ports: Sequence[int], keys: Iterable[str], *, clients: int) -> None:
        self.seen: list[Seen] = []
        self._ports = ports
        self._keys = iter(keys)
        self._clients = clients
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="race")
        self._broken: BaseException | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._ended.set()
        self._thread.join()
        self._check()  # also when waiting for something failed: then this is why

    def finish(self) -> list[Seen]:
        """Wait until all keys have been asked for, and return what was seen."""
        self._thread.join()
        self._check()
        return self.seen

    def admitted(self) -> int:
        """How many were admitted so far."""
        self._check()
        return sum(one.admitted is True for one in self.seen.copy())

    def _check(self) -> None:
        if self._broken is not None:
            raise self._broken

    def _run(self) -> None:
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(self._race())
        except BaseException as error:  # noqa: BLE001 - raised again by whoever leaves `with`
            self._broken = error

    async def _race(self) -> None:
        async with asyncio.TaskGroup() as group:
            for number in range(self._clients):
                group.create_task(self._client(self._ports[number % len(self._ports)]))

    async def _client(self, port: int) -> None:
        streams: Streams | None = None
        for key in self._asked():
            streams = streams or await _connected(port)
            if streams is None:
                await asyncio.sleep(PAUSE_S)
                continue
            seen, reusable = await _ask(streams, key)
            self.seen.append(seen)
            if not reusable:
                streams[1].close()
                streams = None
            if seen.admitted is None:
                await asyncio.sleep(PAUSE_S)
        if streams:
            streams[1].close()

    def _asked(self) -> Iterator[str]:
        for key in self._keys:
            if self._ended.is_set():
                return
            yield key


def cycle(name: str, keys: int) -> Iterator[str]:
    """Return users to ask for without end: so many, whose names begin with `name`."""
    return itertools.cycle([f"{name}-{number}" for number in range(keys)])


def by_key(seen: Iterable[Seen]) -> dict[str, list[Answer]]:
    """Return what the judge is told of each key."""
    found = defaultdict(list)
    for one in seen:
        found[one.key].append(one.answer())
    return found


async def _connected(port: int) -> Streams | None:
    try:
        return await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return None


async def _ask(streams: Streams, key: str) -> tuple[Seen, bool]:
    """Send one request; return what was seen, and whether the connection can take another."""
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
        raise RuntimeError(f"GET {PATH} was answered {status}, which says neither yes nor no nor later")
    reusable = headers.get("connection") != "close"
    return Seen(key, sent_s, time.monotonic(), status, headers.get("retry-after")), reusable


def _head(text: str) -> tuple[int, dict[str, str]]:
    first, *lines = text.rstrip().split("\r\n")
    return int(first.split(" ", 2)[1]), {
        name.lower(): value.strip() for name, _, value in (x.partition(":") for x in lines)
    }

"""`python -m benchmarks.websocket_clients`: what many WebSocket clients cost the others, and what each receives.

Requests arrive at 100/s (open loop): beside a thousand WebSocket clients that stay connected for ten minutes, beside as
many and some that never read, and, before, between and after, beside none. Every client must receive each message:
`seq` without a gap, no close, and each of the refusals that the benchmark causes.
"""

import asyncio
import json
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import typer
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from benchmarks.limiter import contract, generator
from benchmarks.limiter.racing import PATH, LoopThread
from benchmarks.limiter.results import Promise, Section, finish
from benchmarks.limiter.speed import MANY, NEVER
from benchmarks.limiter.stack import Process, Stack, stack

RATE_PER_S = 100
REFUSALS = 20
APART_S = 0.5
"""Between two refusals: the server sums those of a quarter of a second."""
CONNECTING_S = 60.0
AT_ONCE = 100
"""Handshakes under way at a time; the server's backlog is not the subject."""
LIVE = "/ws/admin/quotas"


@dataclass
class Client:
    """What one client received."""

    messages: int = 0
    gaps: int = 0
    refusals: int = 0
    closed: str | None = None

    def take(self, text: str) -> None:
        """Count a message."""
        found = json.loads(text)
        self.messages += 1
        self.gaps += found["seq"] != self.messages
        if found["type"] == "violation":
            self.refusals += found["data"]["hits"]


@dataclass
class Clients(LoopThread):
    """`count` clients that listen while the `with` block runs; `silent` ones never read."""

    port: int
    count: int
    silent: int = 0
    listening: list[Client] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__("clients")
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._shook_hands = 0

    def await_connected(self) -> None:
        """Return when every client is connected; exit if that takes too long."""
        deadline = time.monotonic() + CONNECTING_S
        while self._shook_hands < self.count + self.silent:
            self._check()
            if time.monotonic() > deadline:
                raise SystemExit(f"{self._shook_hands} of {self.count + self.silent} clients connected")
            time.sleep(0.05)

    async def _main(self) -> None:
        tasks = [asyncio.create_task(self._listen()) for _ in range(self.count)]
        tasks += [asyncio.create_task(self._never_read()) for _ in range(self.silent)]
        await asyncio.to_thread(self._stopped.wait)
        for task in tasks:
            task.cancel()
        for outcome in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(outcome, Exception):
                raise outcome

    async def _listen(self) -> None:
        url = f"ws://127.0.0.1:{self.port}{LIVE}"
        async with self._slots:
            connection = await connect(
                url, additional_headers=contract.ADMIN, compression=None, ping_interval=None, proxy=None
            )
        client = Client()
        self.listening.append(client)
        self._shook_hands += 1
        try:
            async for text in connection:
                client.take(str(text))
        except ConnectionClosed:
            pass
        client.closed = f"{connection.close_code} {connection.close_reason}"

    async def _never_read(self) -> None:
        """Shake hands by hand, with a receive buffer of one segment, and read nothing."""
        async with self._slots:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port, limit=1)
            head = {
                "Host": f"127.0.0.1:{self.port}",
                "Connection": "Upgrade",
                "Upgrade": "websocket",
                "Sec-WebSocket-Version": "13",
                "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
                **contract.ADMIN,
            }
            lines = "".join(f"{name}: {value}\r\n" for name, value in head.items())
            writer.write(f"GET {LIVE} HTTP/1.1\r\n{lines}\r\n".encode())
            await reader.read(1)
        self._shook_hands += 1
        reader._transport.pause_reading()  # type: ignore[attr-defined]  # noqa: SLF001 - a client that never reads
        try:
            await asyncio.Event().wait()
        finally:
            writer.transport.abort()


def refuse(server: Process, pause_s: float) -> None:
    """Cause `REFUSALS` refusals of one key, each of which is a message of its own."""
    with contract.rule((server.port,), limit_type="requests_per_hour", limit_value=1):
        for number in range(1 + REFUSALS):
            status = httpx.get(f"http://127.0.0.1:{server.port}{PATH}", headers={"X-User-ID": "refused"}).status_code
            if status != (429 if number else 404):
                raise SystemExit(f"request {number + 1} of a key with room for one was answered {status}")
            time.sleep(pause_s)
        time.sleep(2 * pause_s)


def delivered(server: Process, count: int) -> tuple[str, int, int, int, int, int]:
    """Connect `count` clients, cause refusals, and return the row of what they received."""
    with Clients(server.port, count) as clients:
        clients.await_connected()
        refuse(server, APART_S)
        found = [*clients.listening]
        return (
            f"{count:,} clients",
            len(found),
            sum(client.closed is not None for client in found),
            sum(client.gaps for client in found),
            min(client.refusals for client in found),
            sum(client.messages for client in found),
        )


def beside(up: Stack, server: Process, clients: int, silent: int, rounds: int, seconds: float) -> Section:
    """Measure requests beside no client, beside clients that stay for all rounds, and beside some that never read."""
    load = generator.compiled(up.folder)
    none, many, never = "no client", f"{clients:,} clients", f"{clients:,} clients and {silent} that never read"
    phases = (
        (none, 0, 0, 1),
        (many, clients, 0, rounds),
        (none, 0, 0, 1),
        (never, clients, silent, 1),
        (none, 0, 0, 1),
    )
    found: dict[str, list[generator.Offered]] = {none: [], many: [], never: []}
    lost = gaps = 0
    for name, listening, unread, times in phases:
        with Clients(server.port, listening, unread) as held:
            held.await_connected()
            for _ in range(times):
                offered = load.offer(server.port, PATH, keys=MANY, seconds=seconds, rate_per_s=RATE_PER_S)
                found[name].append(offered.expect_only("404"))
            lost += sum(client.closed is not None for client in held.listening)
            gaps += sum(client.gaps for client in held.listening)
    rows = [(name, len(each), _median(each, "p50_ms"), _median(each, "p99_ms"), max(one.max_ms for one in each))
            for name, each in found.items()]  # fmt: skip
    p99_ms = {name: _median(each, "p99_ms") for name, each in found.items()}
    promises = [
        Promise(f"p99 beside {name}, of that beside no client", p99_ms[name] / p99_ms[none], at_most=1.2)
        for name in (many, never)
    ]
    promises += [Promise("clients lost", lost, at_most=0), Promise("gaps in seq", gaps, at_most=0)]
    columns = ("beside", "rounds", "p50 ms", "p99 ms", "longest ms")
    return Section(f"{RATE_PER_S} requests/s, in rounds of {seconds:g} s", columns, rows, promises)


def everything(server: Process, counts: Sequence[int]) -> Section:
    """Measure what each of many clients receives."""
    rows = [delivered(server, count) for count in counts]
    promises = [
        Promise(f"refusals received by each of {count:,} clients", row[4], at_least=REFUSALS)
        for count, row in zip(counts, rows, strict=True)
    ]
    promises += [Promise("clients lost or with a gap", sum(row[2] + row[3] for row in rows), at_most=0)]
    columns = ("", "connected", "lost", "gaps in seq", "refusals, the fewest", "messages")
    return Section(f"{REFUSALS} refusals, {APART_S:g} s apart", columns, rows, promises)


def _median(runs: Sequence[generator.Offered], figure: str) -> float:
    return float(statistics.median(getattr(run, figure) for run in runs))


def main(
    clients: int = 1000,
    many: int = 5000,
    silent: int = 100,
    rounds: int = 20,
    seconds: float = 30,
    out: Path | None = None,
) -> None:
    """Measure latency beside clients, and what each client receives."""
    with stack() as up:
        server = up.server(up.database("clients"))
        contract.create_rule(server.port, limit_type="requests_per_minute", limit_value=NEVER)
        sections = [beside(up, server, clients, silent, rounds, seconds), everything(server, (clients, many))]
    finish(sections, out)


if __name__ == "__main__":
    typer.run(main)

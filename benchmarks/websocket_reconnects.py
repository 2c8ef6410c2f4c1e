"""`python -m benchmarks.websocket_reconnects`: what a wave of reconnecting WebSocket clients costs the others.

Requests arrive at 100/s (open loop), in turn beside clients that stay and beside clients that all lose their connection
every ten seconds, at once. While they are away a key is refused; each client must be sent each refusal exactly once.
"""

import asyncio
import json
import statistics
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import typer
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from benchmarks.limiter import contract, generator
from benchmarks.limiter.racing import PATH, LoopThread
from benchmarks.limiter.results import Promise, Section, finish
from benchmarks.limiter.speed import MANY, NEVER
from benchmarks.limiter.stack import Stack, stack
from benchmarks.websocket_clients import LIVE, RATE_PER_S, REFUSALS

EVERY_S = 10.0
AWAY_S = 0.5
"""How long a client is away after the refusals: longer than the server takes to push them."""

LATENCY_MS = 100.0
"""What `prod.latency` allows."""

PATIENCE_S = 60.0


@dataclass
class Client:
    """What one client was sent on all its connections."""

    since: str = "now"
    refusals: int = 0
    incomplete: int = 0
    connection: ClientConnection | None = None
    back: asyncio.Event = field(default_factory=asyncio.Event)  # it was sent what it missed

    def take(self, text: str) -> None:
        """Count a message."""
        found = json.loads(text)
        if found["type"] == "resumed":
            self.since = found["data"]["since"]
            self.incomplete += not found["data"]["complete"]
            self.back.set()
        elif found["type"] in ("violation", "alert"):
            self.since = found["timestamp"]
            self.refusals += found["data"].get("hits", 0)


class Wave(LoopThread):
    """`count` clients; with `leaving`, all are cut off every EVERY_S, miss REFUSALS refusals and come back at once."""

    def __init__(self, port: int, count: int, *, leaving: bool) -> None:
        super().__init__("wave")
        self._port = port
        self._leaving = leaving
        self._present = asyncio.Event()
        self.clients = [Client() for _ in range(count)]
        self.waves = 0

    async def _main(self) -> None:
        self._present.set()
        tasks = [asyncio.create_task(self._stay(client)) for client in self.clients]
        stopping = asyncio.create_task(asyncio.to_thread(self._stopped.wait))
        await self._all_back()
        while not stopping.done():
            await asyncio.wait({stopping}, timeout=EVERY_S)
            if self._leaving and not stopping.done():
                await self._leave_and_return()
        for task in tasks:
            task.cancel()
        for outcome in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(outcome, Exception):
                raise outcome

    async def _leave_and_return(self) -> None:
        self._present.clear()
        for client in self.clients:
            client.back.clear()
            if client.connection:
                client.connection.transport.abort()
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{self._port}") as requests:
            for _ in range(REFUSALS):
                answer = await requests.get(PATH, headers={"X-User-ID": "refused"})
                if answer.status_code != 429:
                    raise SystemExit(f"a key without room was answered {answer.status_code}")
        await asyncio.sleep(AWAY_S)
        self.waves += 1
        self._present.set()
        await self._all_back()

    async def _all_back(self) -> None:
        async with asyncio.timeout(PATIENCE_S):
            await asyncio.gather(*(client.back.wait() for client in self.clients))

    async def _stay(self, client: Client) -> None:
        while True:
            await self._present.wait()
            url = f"ws://127.0.0.1:{self._port}{LIVE}?since={client.since}"
            with suppress(ConnectionClosed):
                async with connect(
                    url, additional_headers=contract.ADMIN, compression=None, ping_interval=None, proxy=None
                ) as client.connection:
                    async for text in client.connection:
                        client.take(str(text))


@contextmanager
def refused_key(port: int) -> Iterator[None]:
    """Keep a rule that gives the key no room."""
    made = contract.create_rule(port, scope_value="refused", limit_type="requests_per_hour", limit_value=0)
    try:
        yield
    finally:
        contract.delete_rule(port, made["id"])


def measure(up: Stack, clients: int, rounds: int, seconds: float) -> Section:
    """Measure requests in turn beside clients that stay and clients that reconnect."""
    server = up.server(up.database("reconnects"))
    contract.create_rule(server.port, limit_type="requests_per_minute", limit_value=NEVER)
    load = generator.compiled(up.folder)
    kinds = {f"{clients:,} clients that stay": False, f"{clients:,} clients that reconnect": True}
    found: dict[str, list[generator.Offered]] = {name: [] for name in kinds}
    waves = wrong = 0
    with refused_key(server.port):
        for _ in range(rounds):
            for name, leaving in kinds.items():
                with Wave(server.port, clients, leaving=leaving) as wave:
                    offered = load.offer(server.port, PATH, keys=MANY, seconds=seconds, rate_per_s=RATE_PER_S)
                found[name].append(offered.expect_only("404"))
                waves += wave.waves
                wrong += sum(
                    client.refusals != REFUSALS * wave.waves or client.incomplete > 0 for client in wave.clients
                )
    rows = [_row(name, each) for name, each in found.items()]
    promises = [
        Promise("p99 in ms beside clients that reconnect", rows[1][3], at_most=LATENCY_MS),
        Promise("clients that missed a refusal or were sent one twice", wrong, at_most=0),
        Promise("waves", waves, at_least=1),
    ]
    columns = ("beside", "rounds", "p50 ms", "p99 ms", "longest ms")
    title = f"{RATE_PER_S} requests/s, {rounds} rounds of {seconds:g} s each, every {EVERY_S:g} s all reconnect"
    return Section(title, columns, rows, promises)


def _row(name: str, runs: list[generator.Offered]) -> tuple[str, int, float, float, float]:
    p50_ms, p99_ms = (statistics.median(each) for each in zip(*((one.p50_ms, one.p99_ms) for one in runs), strict=True))
    return name, len(runs), p50_ms, p99_ms, max(one.max_ms for one in runs)


def main(clients: int = 1000, rounds: int = 1, seconds: float = 25, out: Path | None = None) -> None:
    """Measure latency beside clients that reconnect, and whether each is sent all it missed."""
    with stack() as up:
        sections = [measure(up, clients, rounds, seconds)]
    finish(sections, out)


if __name__ == "__main__":
    typer.run(main)

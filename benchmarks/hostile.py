"""`python -m benchmarks.hostile`: clients that flood, pipeline, bomb or do not read; what it costs everybody else.

Every attack runs in a process of its own. Exit code 0: `/livez` always answered within a second, and memory came back.
"""

import asyncio
import multiprocessing
import socket
import struct
import time
import zlib
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import Any, cast

import psutil
import typer
import uvloop

from benchmarks.fuzz.inputs import HANDSHAKE, HOST
from benchmarks.limiter.stack import Process, stack
from benchmarks.watch import HEAD, MB, watched

WAIT_LIMIT_MS = 1000.0
GROWTH_MB = 64.0

Attack = Callable[[int], Coroutine[Any, Any, None]]

PING = b"\x89\xfd" + bytes(4) + b"x" * 125
PIECE = b"\x00\x80\x00\x00\x00\x00"
BOMB = zlib.compress(bytes(MB))[2:-4]
COMPRESSED = b"\xc2\xfe" + struct.pack("!H", len(BOMB)) + bytes(4) + BOMB


async def pipelined_document(port: int) -> None:
    """200 clients pipeline 50 GET /openapi.json each, and read everything."""
    await _together(200, lambda: _pipeline(port, b"/openapi.json", 50))


async def pipelined_metrics(port: int) -> None:
    """200 clients pipeline 50 GET /metrics each, and read everything."""
    await _together(200, lambda: _pipeline(port, b"/metrics", 50))


async def pipelined_small(port: int) -> None:
    """100 clients pipeline 3,000 GET /livez each, and read everything."""
    await _together(100, lambda: _pipeline(port, b"/livez", 3000))


async def slow_readers(port: int) -> None:
    """500 clients request 20 documents and read nothing for 45 s."""
    await _together(500, lambda: _send_only(port, b"", _get(b"/openapi.json") * 20, wait_s=45))


async def slow_closers(port: int) -> None:
    """500 clients request documents, the last with Connection: close, and read nothing for 45 s."""
    sent = _get(b"/openapi.json") * 100 + _get(b"/openapi.json", b"Connection: close\r\n")
    await _together(500, lambda: _send_only(port, b"", sent, wait_s=45))


async def connects(port: int) -> None:
    """10,000 clients connect and send nothing until they are closed."""
    limit = asyncio.Semaphore(200)

    async def one() -> None:
        async with limit:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
        await reader.read()
        writer.close()

    await _together(10_000, one)


async def pings(port: int) -> None:
    """A client sends 63 MB of pings and reads nothing; it connects again where it is closed."""
    left = 63 * MB
    while left > 0:
        left -= await _send_only(port, HANDSHAKE, PING * (left // len(PING) + 1))


async def fragments(port: int) -> None:
    """200 clients send a message of empty fragments without end."""
    await _together(200, lambda: _send_only(port, HANDSHAKE, b"\x01\x80\x00\x00\x00\x00" + PIECE * 100_000))


async def compressed(port: int) -> None:
    """200 clients offer compression and send 1,000 frames of 1 MB zeros each, compressed to 1 KB."""
    hello = HANDSHAKE.replace(HOST, HOST + b"Sec-WebSocket-Extensions: permessage-deflate\r\n")
    await _together(200, lambda: _send_only(port, hello, COMPRESSED * 1000))


async def compressed_bodies(port: int) -> None:
    """200 clients post 10 MB zeros as gzip."""
    body = zlib.compress(bytes(10 * MB), wbits=31)
    head = b"POST /admin/login HTTP/1.1\r\nContent-Type: application/json\r\nContent-Encoding: gzip\r\n" + HOST
    sent = head + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    await _together(200, lambda: _send_only(port, b"", sent))


ATTACKS: dict[str, Attack] = {
    attack.__name__: attack
    for attack in (
        pipelined_document,
        pipelined_metrics,
        pipelined_small,
        pings,
        fragments,
        compressed,
        compressed_bodies,
        connects,
        slow_readers,
        slow_closers,
    )
}


def main(only: str = "") -> None:
    """Run all attacks, or one."""
    faults = []
    print(f"{'':20}{HEAD}")
    with stack() as found:
        for name in [only] if only else ATTACKS:
            faults += _measure(found.server(found.database(name)), name)
    print("\n".join([f"{len(faults)} faults", *faults]))
    raise SystemExit(bool(faults))


def _measure(server: Process, name: str) -> list[str]:
    attacker = multiprocessing.get_context("spawn").Process(target=_run, args=(name, server.port))
    started = time.monotonic()
    with watched(server.process.pid, server.port) as cost:
        attacker.start()
        attacker.join()
    left = len(psutil.Process(server.process.pid).net_connections("tcp"))
    print(f"{name:20}{cost.row()}  in {time.monotonic() - started:.0f} s, {left - 1} connections left")
    slow = not cost.waits_ms or max(cost.waits_ms) > WAIT_LIMIT_MS or cost.unanswered
    grown = cost.after_mb - cost.before_mb > GROWTH_MB
    return [f"{name}: {word}" for word, wrong in (("/livez waited", slow), ("memory grew", grown)) if wrong]


def _run(name: str, port: int) -> None:
    uvloop.run(ATTACKS[name](port))


async def _together(count: int, one: Callable[[], Awaitable[object]]) -> None:
    await asyncio.gather(*(one() for _ in range(count)), return_exceptions=True)


def _get(path: bytes, more: bytes = b"") -> bytes:
    return b"GET " + path + b" HTTP/1.1\r\n" + HOST + more + b"\r\n"


async def _pipeline(port: int, path: bytes, count: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(_get(path) * (count - 1) + _get(path, b"Connection: close\r\n"))
    while await reader.read(MB):
        pass
    writer.close()


async def _send_only(port: int, hello: bytes, sent: bytes, wait_s: float = 0.0) -> int:
    """Send `hello`, read its response, send the rest and read nothing; return how much was sent."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.setblocking(False)
    await asyncio.get_running_loop().sock_connect(connection, ("127.0.0.1", port))
    reader, writer = await asyncio.open_connection(sock=connection, limit=1024)
    done = 0
    with suppress(OSError):
        if hello:
            writer.write(hello)
            await reader.readuntil(b"\r\n\r\n")
        cast("asyncio.Transport", writer.transport).pause_reading()
        for start in range(0, len(sent), MB // 4):
            writer.write(sent[start : start + MB // 4])
            done = start + MB // 4
            await asyncio.wait_for(writer.drain(), 20)
        await asyncio.sleep(wait_s)
    writer.transport.abort()
    return done


if __name__ == "__main__":
    typer.run(main)

"""Sends the inputs over many connections, and looks at what comes back."""

import asyncio
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field

from benchmarks.fuzz.inputs import HANDSHAKE, Input, made

CONNECTIONS = 64
IDLE_S = 0.2
"""An input may leave the server waiting for more: its connection is closed after so long without a byte."""

_STATUS = re.compile(rb"HTTP/1\.1 ([0-9]{3}) ")
INTERNAL_ERROR = 1011


@dataclass
class Findings:
    """What the responses to many inputs were."""

    answers: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)

    def add(self, name: str, given: Input, received: bytes) -> None:
        """Count the answers to one input; keep what is wrong with them."""
        found = list(answers(received))
        self.answers.update(found or ["nothing"])
        if given.responses is not None and len(found) != given.responses:
            self.faults.append(f"{name}: {len(found)} responses instead of {given.responses}")
        bad = [
            answer for answer in found if answer.startswith("5") or answer in (f"close {INTERNAL_ERROR}", "not HTTP")
        ]
        self.faults += [f"{name}: {answer}" for answer in bad]


async def send_all(port: int, kind: str, seed: int, numbers: range) -> Findings:
    """Send the inputs of one kind with these numbers."""
    findings, left = Findings(), iter(numbers)

    async def work() -> None:
        for number in left:
            given = made(kind, seed, number)
            findings.add(f"{kind} {seed} {number}", given, await _exchange(port, given))

    await asyncio.gather(*(work() for _ in range(CONNECTIONS)))
    return findings


async def _exchange(port: int, given: Input) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    received = b""
    with suppress(OSError, TimeoutError):
        for part in given.parts:
            writer.write(part)
            await asyncio.sleep(0)
            if part is HANDSHAKE:
                received += await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 30)
        while data := await asyncio.wait_for(reader.read(65536), 30 if given.responses else IDLE_S):
            received += data
    writer.transport.abort()
    return received


def answers(received: bytes) -> Iterator[str]:
    """Yield the status of each response, and the code of the close frame behind a 101."""
    if received and not received.startswith(b"HTTP/1.1 "):
        yield "not HTTP"
    for match in _STATUS.finditer(received):
        yield match[1].decode()
        if match[1] == b"101":
            frames = received.partition(b"\r\n\r\n")[2]
            yield f"close {_close_code(frames)}"
            return


def _close_code(frames: bytes) -> int | None:
    """Return the code of the last frame if it is a close frame."""
    while len(frames) >= 2:
        size, start = frames[1] & 127, 2
        if size >= 126:
            start = 4 if size == 126 else 10
            size = int.from_bytes(frames[2:start], "big")
        if frames[0] & 15 == 8:
            return int.from_bytes(frames[start : start + 2], "big")
        frames = frames[start + size :]
    return None

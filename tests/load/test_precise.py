"""The precise engine in one process, against servers that behave badly on cue."""

import asyncio
import json
import resource
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest
import uvloop

from gaia_checks.load import connections, precise
from gaia_checks.load.mix import Mix, Request
from gaia_checks.load.plan import Plan
from gaia_checks.load.tally import Second
from gaia_checks.load.total import Total
from tests.load.test_http import saying, silent, talking

BODY = b'{"a": 1}'
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n" + BODY
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n8\r\n" + BODY + b"\r\n0\r\n\r\n"
UNSIZED = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + BODY
LIMITED = b'HTTP/1.1 429 X\r\nRateLimit: "r";r=0\r\nContent-Length: 2\r\n\r\n{}'
MIX = Mix([Request("GET", "/a", keys=frozenset({"a"}))])


def plan(url: str, rate: str, window_s: float, mix: Mix = MIX, **changes: Any) -> Plan:
    """Make a plan for one process."""
    return Plan(url, rate, window_s, headers={"X-API-Key": "k"}, mix=mix, **changes)


def send(made: Plan) -> dict[str, Any]:
    """Carry a plan out in this process; return its result."""
    total = Total(made.window_s)

    def listen(second: Second) -> None:
        total.add(Second.from_json(second.to_json()))

    uvloop.run(precise.Engine(made, time.monotonic() + 0.05, listen).run())
    return total.result()


@pytest.mark.parametrize("answer", [ANSWER, CHUNKED, UNSIZED, b"HTTP/1.1 100 Continue\r\n\r\n" + ANSWER])
def test_every_framing_of_a_body_is_understood(answer: bytes) -> None:
    """Three requests one after the other, over one connection where that is possible."""
    with talking(*([saying(answer)] * 3 if answer is UNSIZED else [saying(*[answer] * 3)])) as url:
        seen = send(plan(url, "10", 0.3))
    assert (seen["done"], seen["failed"], seen["served"], seen["retried"]) == (3, 0, 3, 0), seen["notes"]


@pytest.mark.parametrize(
    ("conversation", "text"),
    [
        (saying(b""), "the server closed the connection without a whole answer"),
        (saying(ANSWER[:-1]), "the server closed the connection without a whole answer"),
        (saying(b"SSH-2.0-OpenSSH_9.2\r\n"), "the answer is no HTTP: "),
        (saying(ANSWER.replace(b'"a"', b'"b"')), "the body has no a"),
        (silent, "no reply within 0.3 s"),
    ],
    ids=["hangs up", "stops half-way", "speaks something else", "lies", "is silent"],
)
def test_what_the_server_does_is_its_own_failure(
    conversation: Callable[[socket.socket], None], text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is counted as failed, is described, and is not asked again."""
    monkeypatch.setattr(precise, "REPLY_LIMIT_S", 0.3)
    with talking(conversation) as url:
        seen = send(plan(url, "10", 0.1))
    assert (seen["sent"], seen["done"], seen["failed"], seen["generator_errors"]) == (1, 1, 1, 0)
    assert text in seen["notes"][0]


def test_a_limit_is_counted_and_named() -> None:
    """As the default engine does."""
    with talking(saying(LIMITED)) as url:
        seen = send(plan(url, "10", 0.1))
    assert (seen["limited"], seen["limited_notes"]) == (
        1, ['GET /a: status 429 instead of 200, by the limit "r";r=0, due at 0.00 s'],
    )  # fmt: skip


def test_a_connection_that_was_closed_meanwhile_is_not_written_to() -> None:
    """The next request goes over a new one and fails not."""
    with talking(saying(ANSWER), saying(ANSWER), saying(ANSWER)) as url:
        seen = send(plan(url, "10", 0.3))
    assert (seen["done"], seen["failed"]) == (3, 0), seen["notes"]


def test_a_connection_that_was_idle_for_long_is_not_used_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server may close it at any moment."""
    monkeypatch.setattr(connections, "IDLE_LIMIT_S", 0.05)
    with talking(saying(ANSWER), saying(ANSWER)) as url:
        seen = send(plan(url, "10", 0.2))
    assert (seen["done"], seen["failed"], seen["retried"]) == (2, 0, 0), seen["notes"]


def test_running_out_of_descriptors_is_our_own_failure() -> None:
    """It is no failure of the server: the request was not sent."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)

    async def starved(engine: precise.Engine) -> None:
        """Leave no descriptor before the first request is due."""
        running = asyncio.create_task(engine.run())
        await asyncio.sleep(0.1)
        with socket.socket() as free:
            lowest = free.fileno()
        resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, hard))
        await running

    seconds: list[Second] = []
    with talking(saying(ANSWER)) as url:
        try:
            uvloop.run(starved(precise.Engine(plan(url, "10", 0.1), time.monotonic() + 0.5, seconds.append)))
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2]))).close()  # let the server go home
    (seen,) = seconds
    assert (seen.counts.intended, seen.counts.sent, seen.counts.generator_errors) == (1, 0, 1)
    assert "Too many open files" in seen.notes.generator[0]


def test_it_ends_when_nobody_reads_any_more() -> None:
    """Its input ends with the process that started it."""
    with subprocess.Popen(
        [sys.executable, "-m", "gaia_checks.load.precise"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
        order = {"plan": plan("http://127.0.0.1:9", "1", 600).to_json(), "started_s": time.monotonic() + 300}
        process.stdin.write(json.dumps(order) + "\n")
        process.stdin.close()
        assert process.wait(30) == 1


def test_it_does_not_know_locust() -> None:
    """Importing locust patches sockets; what is precise must not run on them."""
    said = subprocess.run(
        [sys.executable, "-c", "import sys, gaia_checks.load.precise; print({'locust', 'gevent'} & set(sys.modules))"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert said.stdout == "set()\n"


def test_a_part_is_sent_by_its_indices() -> None:
    """Worker 1 of 3 sends the arrivals 1, 4, 7 ..., with the requests that the whole load has there."""
    mix = Mix([Request("GET", f"/{letter}", expected=frozenset({429})) for letter in "abc"])
    with talking(saying(*[LIMITED] * 4)) as url:
        seen = send(plan(url, "40", 0.3, mix, worker=1, workers=3))
    expected: dict[str, int] = {}
    for index in range(1, 12, 3):
        label = f"GET {mix.choose(index).label}"
        expected[label] = expected.get(label, 0) + 1
    assert {label: route["done"] for label, route in seen["routes"].items()} == expected

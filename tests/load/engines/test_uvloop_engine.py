"""The precise engine in one process, against servers that behave badly on cue."""

import asyncio
import gc
import json
import resource
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest
import uvloop

from gaia_checks.load.engines import uvloop_connections, uvloop_engine
from gaia_checks.load.engines.gevent_client import Client
from gaia_checks.load.engines.uvloop_connections import Exchange
from gaia_checks.load.http.response_parser import Answer
from gaia_checks.load.plan.plan import Plan
from gaia_checks.load.plan.request_mix import Mix, Request
from gaia_checks.load.results.aggregate import Total
from gaia_checks.load.results.per_second import Second
from tests.load.engines.test_gevent_client import saying, silent, talking, two_at_once
from tests.load.processes import server

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

    uvloop.run(uvloop_engine.Engine(made, time.monotonic() + 0.05, listen).run())
    return total.result()


class Told(asyncio.Queue[tuple[Exchange, Answer | str]]):
    """Keeps what a pool tells."""

    def answered(self, exchange: Exchange, answer: Answer) -> None:
        """Keep an answer."""
        self.put_nowait((exchange, answer))

    def failed(self, exchange: Exchange, why: str) -> None:
        """Keep a failure of the server."""
        self.put_nowait((exchange, f"failed: {why}"))

    def broken(self, exchange: Exchange, why: str) -> None:
        """Keep a failure of ours."""
        self.put_nowait((exchange, f"broken: {why}"))


def ask(
    url: str, times: int, before: Callable[[int], None] = lambda _: None
) -> tuple[list[Answer | str], set[int], int]:
    """Send one request after the other; return what was told, the connections used, and how many were retried."""

    async def run() -> tuple[list[Answer | str], set[int], int]:
        told = Told()
        pool = uvloop_connections.Pool(told, *await uvloop_connections.resolve(url))
        seen, used = [], set()
        for number in range(times):
            before(number)
            pool.send(Exchange(0, 0.0, 0.0), "GET", b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n")
            exchange, what = await asyncio.wait_for(told.get(), 20)
            seen.append(what)
            used.add(id(exchange.connection))
        await pool.close()
        return seen, used, pool.retried

    return uvloop.run(run())


@pytest.mark.parametrize("answer", [ANSWER, CHUNKED, b"HTTP/1.1 100 Continue\r\n\r\n" + ANSWER])
def test_a_connection_is_used_again_whatever_the_framing(answer: bytes) -> None:
    """Three requests, one connection."""
    with talking(saying(*[answer] * 3)) as url:
        seen, used, retried = ask(url, 3)
    assert [(what.status, what.body) for what in seen if isinstance(what, Answer)] == [(200, BODY)] * 3
    assert (len(used), retried) == (1, 0)


def test_a_connection_that_ends_its_answer_is_not_used_again() -> None:
    """The end of the connection is the end of the body."""
    with talking(saying(UNSIZED), saying(UNSIZED)) as url:
        seen, _, retried = ask(url, 2)
    assert [what.body for what in seen if isinstance(what, Answer)] == [BODY] * 2
    assert retried == 0


def test_a_connection_that_was_closed_meanwhile_is_not_written_to() -> None:
    """The next request goes over a new one; it is counted when nobody had noticed yet."""
    may_close, closed = threading.Event(), threading.Event()

    def once(connection: socket.socket) -> None:
        saying(ANSWER)(connection)
        assert may_close.wait(20)
        connection.shutdown(socket.SHUT_RDWR)
        closed.set()

    def wait(number: int) -> None:
        """Hold the event loop up, so that it cannot notice."""
        if number == 1:
            may_close.set()
            assert closed.wait(5)
            time.sleep(uvloop_connections.FRESH_S * 2)

    with talking(once, saying(ANSWER)) as url:
        seen, _, retried = ask(url, 2, wait)
    assert [what.body for what in seen if isinstance(what, Answer)] == [BODY] * 2
    assert retried == 1


def test_a_connection_that_was_idle_for_long_is_not_used_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server may close it at any moment."""
    monkeypatch.setattr(uvloop_connections, "IDLE_LIMIT_S", 0.0)
    with talking(saying(ANSWER), saying(ANSWER)) as url:
        seen, _, retried = ask(url, 2, lambda _: time.sleep(0.01))
    assert [what.body for what in seen if isinstance(what, Answer)] == [BODY] * 2
    assert retried == 0


def test_a_connection_that_only_a_stall_had_needed_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without waiting for the end of the load: the server would hold hundreds open for nothing."""
    monkeypatch.setattr(uvloop_connections, "IDLE_LIMIT_S", 0.0)

    async def run(url: str, hung_up: threading.Event) -> bool:
        told = Told()
        pool = uvloop_connections.Pool(told, *await uvloop_connections.resolve(url))
        for _ in range(2):
            pool.send(Exchange(0, 0.0, 0.0), "GET", b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n")
        for _ in range(2):
            await asyncio.wait_for(told.get(), 20)
        closed = await asyncio.to_thread(hung_up.wait, 5)
        await pool.close()
        return closed

    with two_at_once(ANSWER) as (url, hung_up):
        assert uvloop.run(run(url, hung_up))


def test_running_out_of_descriptors_is_our_own_failure() -> None:
    """It is no failure of the server: the request was not sent."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)

    def lower(_: int) -> None:
        gc.collect()  # what it would close later would be free again
        with socket.socket() as free:
            lowest = free.fileno()
        resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, hard))

    with talking(saying(ANSWER)) as url:
        try:
            seen, _, _ = ask(url, 1, lower)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2]))).close()  # let the server go home
    assert isinstance(seen[0], str)
    assert seen[0].startswith("broken: ")
    assert "Too many open files" in seen[0]


@pytest.mark.parametrize(
    ("conversation", "text"),
    [
        (saying(b""), "the server closed the connection before the response was complete"),
        (saying(ANSWER[:-1]), "the server closed the connection before the response was complete"),
        (saying(b"SSH-2.0-OpenSSH_9.2\r\n"), "the response is not HTTP: "),
        (saying(ANSWER.replace(b'"a"', b'"b"')), "the body has no a"),
        (silent, "no reply within 0.3 s"),
    ],
    ids=["hangs up", "stops half-way", "speaks something else", "lies", "is silent"],
)
def test_what_the_server_does_is_its_own_failure(
    conversation: Callable[[socket.socket], None], text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is counted as failed, is described, and is not asked again."""
    monkeypatch.setattr(uvloop_engine, "REPLY_LIMIT_S", 0.3)
    with talking(conversation) as url:
        seen = send(plan(url, "10", 0.1))
    assert (seen["sent"], seen["done"], seen["failed"], seen["generator_errors"]) == (1, 1, 1, 0)
    assert text in seen["notes"][0]


@pytest.mark.parametrize(("base", "asked"), [("", "GET /a "), ("/", "GET /a "), ("/base/", "GET /base/a ")])
def test_both_engines_ask_below_the_path_of_the_host(base: str, asked: str) -> None:
    """The same --host is the same server to both."""
    heard: list[bytes] = []

    def listen(connection: socket.socket) -> None:
        heard.append(connection.recv(65_536))
        connection.sendall(ANSWER)

    with talking(listen, listen) as url:
        assert send(plan(url + base, "10", 0.1))["failed"] == 0
        with closing(Client(url + base, {}, 5)) as client:
            assert client.exchange("GET", "/a").status == 200
    assert [request.decode()[: len(asked)] for request in heard] == [asked] * 2


def test_a_limit_is_counted_and_named() -> None:
    """As the default engine does."""
    with talking(saying(LIMITED)) as url:
        seen = send(plan(url, "10", 0.1))
    assert (seen["limited"], seen["limited_notes"]) == (
        1, ['GET /a: status 429 instead of 200, by the limit "r";r=0, due at 0.00 s'],
    )  # fmt: skip


def test_it_ends_when_nobody_reads_any_more() -> None:
    """Its input ends with the process that started it."""
    with subprocess.Popen(
        [sys.executable, "-m", "gaia_checks.load.engines.uvloop_engine"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
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
        [sys.executable, "-c", ("import sys, gaia_checks.load.engines.uvloop_engine;"
                               " print({'locust', 'gevent'} & set(sys.modules))")],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert said.stdout == "set()\n"


def test_a_part_is_sent_by_its_indices() -> None:
    """Worker 1 of 3 sends the arrivals 1, 4, 7 ..., with the requests that the whole load has there."""
    mix = Mix([Request("GET", f"/{letter}") for letter in "abc"])
    with server() as url:
        seen = send(plan(url, "40", 0.3, mix, worker=1, workers=3))
    expected = Counter(f"GET {mix.choose(index).label}" for index in range(1, 12, 3))
    assert {label: route["done"] for label, route in seen["routes"].items()} == expected
    assert (seen["intended"], seen["failed"]) == (4, 0)

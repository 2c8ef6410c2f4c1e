"""Tests of the precise engine in one process, against servers that inject faults."""

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
from gaia_checks.load.engines.gevent_client import GeventClient
from gaia_checks.load.engines.uvloop_connections import ExchangeInFlight
from gaia_checks.load.http.response_parser import HttpResponse
from gaia_checks.load.plan.load_plan import LoadPlan
from gaia_checks.load.plan.request_mix import Mix, Request
from gaia_checks.load.results.aggregate import Total
from gaia_checks.load.results.per_second import Second
from tests.load.engines.test_gevent_client import replying, serving, silent, two_at_once
from tests.load.processes import server

BODY = b'{"a": 1}'
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n" + BODY
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n8\r\n" + BODY + b"\r\n0\r\n\r\n"
UNSIZED = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + BODY
LIMITED = b'HTTP/1.1 429 X\r\nRateLimit: "r";r=0\r\nContent-Length: 2\r\n\r\n{}'
MIX = Mix([Request("GET", "/a", keys=frozenset({"a"}))])


def plan(url: str, rate: str, window_s: float, mix: Mix = MIX, **changes: Any) -> LoadPlan:
    """Return a plan for one process."""
    return LoadPlan(url, rate, window_s, headers={"X-API-Key": "k"}, mix=mix, **changes)


def send(made: LoadPlan) -> dict[str, Any]:
    """Execute a plan in this process; return its result."""
    total = Total(made.window_s)

    def listen(second: Second) -> None:
        total.add(Second.from_json(second.to_json()))

    uvloop.run(uvloop_engine.Engine(made, time.monotonic() + 0.05, listen).run())
    return total.result()


class RecordingClient(asyncio.Queue[tuple[ExchangeInFlight, HttpResponse | str]]):
    """Records the outcomes that a pool reports."""

    def answered(self, exchange: ExchangeInFlight, answer: HttpResponse) -> None:
        """Record a response."""
        self.put_nowait((exchange, answer))

    def failed(self, exchange: ExchangeInFlight, why: str) -> None:
        """Record a failure of the server."""
        self.put_nowait((exchange, f"failed: {why}"))

    def broken(self, exchange: ExchangeInFlight, why: str) -> None:
        """Record a fault of the generator."""
        self.put_nowait((exchange, f"broken: {why}"))


def send_in_turn(
    url: str, times: int, before: Callable[[int], None] = lambda _: None
) -> tuple[list[HttpResponse | str], set[int], int]:
    """Send requests one after the other; return the outcomes, the connections used, and the number of retries."""

    async def run() -> tuple[list[HttpResponse | str], set[int], int]:
        client = RecordingClient()
        pool = uvloop_connections.ConnectionPool(client, *await uvloop_connections.resolve(url))
        observed, used = [], set()
        for number in range(times):
            before(number)
            pool.send(ExchangeInFlight(0, 0.0, 0.0), "GET", b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n")
            exchange, what = await asyncio.wait_for(client.get(), 20)
            observed.append(what)
            used.add(id(exchange.connection))
        await pool.close()
        return observed, used, pool.retried

    return uvloop.run(run())


@pytest.mark.parametrize("answer", [ANSWER, CHUNKED, b"HTTP/1.1 100 Continue\r\n\r\n" + ANSWER])
def test_a_connection_is_used_again_whatever_the_framing(answer: bytes) -> None:
    """Three requests use one connection."""
    with serving(replying(*[answer] * 3)) as url:
        observed, used, retried = send_in_turn(url, 3)
    assert [(what.status, what.body) for what in observed if isinstance(what, HttpResponse)] == [(200, BODY)] * 3
    assert (len(used), retried) == (1, 0)


def test_a_connection_that_ends_its_answer_is_not_used_again() -> None:
    """The end of the connection completes the body."""
    with serving(replying(UNSIZED), replying(UNSIZED)) as url:
        observed, _, retried = send_in_turn(url, 2)
    assert [what.body for what in observed if isinstance(what, HttpResponse)] == [BODY] * 2
    assert retried == 0


def test_a_connection_that_was_closed_meanwhile_is_not_written_to() -> None:
    """The next request uses a new connection and counts as retried."""
    may_close, closed = threading.Event(), threading.Event()

    def once(connection: socket.socket) -> None:
        replying(ANSWER)(connection)
        assert may_close.wait(20)
        connection.shutdown(socket.SHUT_RDWR)
        closed.set()

    def wait(number: int) -> None:
        """Block the event loop, so that it cannot process the close."""
        if number == 1:
            may_close.set()
            assert closed.wait(5)
            time.sleep(uvloop_connections.FRESH_S * 2)

    with serving(once, replying(ANSWER)) as url:
        observed, _, retried = send_in_turn(url, 2, wait)
    assert [what.body for what in observed if isinstance(what, HttpResponse)] == [BODY] * 2
    assert retried == 1


def test_a_connection_that_was_idle_for_long_is_not_used_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """The server may close an idle connection at any time."""
    monkeypatch.setattr(uvloop_connections, "IDLE_LIMIT_S", 0.0)
    with serving(replying(ANSWER), replying(ANSWER)) as url:
        observed, _, retried = send_in_turn(url, 2, lambda _: time.sleep(0.01))
    assert [what.body for what in observed if isinstance(what, HttpResponse)] == [BODY] * 2
    assert retried == 0


def test_a_connection_that_only_a_stall_had_needed_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pool closes surplus connections during the load; the server would otherwise keep hundreds open."""
    monkeypatch.setattr(uvloop_connections, "IDLE_LIMIT_S", 0.0)

    async def run(url: str, hung_up: threading.Event) -> bool:
        client = RecordingClient()
        pool = uvloop_connections.ConnectionPool(client, *await uvloop_connections.resolve(url))
        for _ in range(2):
            pool.send(ExchangeInFlight(0, 0.0, 0.0), "GET", b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n")
        for _ in range(2):
            await asyncio.wait_for(client.get(), 20)
        closed = await asyncio.to_thread(hung_up.wait, 5)
        await pool.close()
        return closed

    with two_at_once(ANSWER) as (url, hung_up):
        assert uvloop.run(run(url, hung_up))


def test_running_out_of_descriptors_is_attributed_to_the_generator() -> None:
    """It is not a failure of the server: the request was not sent."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)

    def lower(_: int) -> None:
        gc.collect()  # objects collected later would free descriptors
        with socket.socket() as free:
            lowest = free.fileno()
        resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, hard))

    with serving(replying(ANSWER)) as url:
        try:
            observed, _, _ = send_in_turn(url, 1, lower)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2]))).close()  # lets the server finish
    assert isinstance(observed[0], str)
    assert observed[0].startswith("broken: ")
    assert "Too many open files" in observed[0]


@pytest.mark.parametrize(
    ("conversation", "text"),
    [
        (replying(b""), "the server closed the connection before the response was complete"),
        (replying(ANSWER[:-1]), "the server closed the connection before the response was complete"),
        (replying(b"SSH-2.0-OpenSSH_9.2\r\n"), "the response is not HTTP: "),
        (replying(ANSWER.replace(b'"a"', b'"b"')), "the body has no a"),
        (silent, "no reply within 0.3 s"),
    ],
    ids=["hangs up", "stops half-way", "speaks something else", "lies", "is silent"],
)
def test_faults_of_the_server_are_attributed_to_it(
    conversation: Callable[[socket.socket], None], text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The request counts as failed, is described, and is not retried."""
    monkeypatch.setattr(uvloop_engine, "REPLY_LIMIT_S", 0.3)
    with serving(conversation) as url:
        observed = send(plan(url, "10", 0.1))
    assert (observed["sent"], observed["done"], observed["failed"], observed["generator_errors"]) == (1, 1, 1, 0)
    assert text in observed["notes"][0]


@pytest.mark.parametrize(("base", "request_line"), [("", "GET /a "), ("/", "GET /a "), ("/base/", "GET /base/a ")])
def test_both_engines_ask_below_the_path_of_the_host(base: str, request_line: str) -> None:
    """Both engines use the path of --host as a prefix."""
    heard: list[bytes] = []

    def listen(connection: socket.socket) -> None:
        heard.append(connection.recv(65_536))
        connection.sendall(ANSWER)

    with serving(listen, listen) as url:
        assert send(plan(url + base, "10", 0.1))["failed"] == 0
        with closing(GeventClient(url + base, {}, 5)) as client:
            assert client.exchange("GET", "/a").status == 200
    assert [request.decode()[: len(request_line)] for request in heard] == [request_line] * 2


def test_a_limit_is_counted_and_named() -> None:
    """Refusals by a limit are counted separately, with the name of the limit."""
    with serving(replying(LIMITED)) as url:
        observed = send(plan(url, "10", 0.1))
    assert (observed["limited"], observed["limited_notes"]) == (
        1, ['GET /a: status 429 instead of 200, by the limit "r";r=0, due at 0.00 s'],
    )  # fmt: skip


def test_the_engine_exits_with_its_parent() -> None:
    """The engine exits when its standard input closes."""
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


def test_the_precise_engine_does_not_import_locust() -> None:
    """Importing locust patches sockets; the precise engine must not import it."""
    output = subprocess.run(
        [sys.executable, "-c", ("import sys, gaia_checks.load.engines.uvloop_engine;"
                               " print({'locust', 'gevent'} & set(sys.modules))")],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert output.stdout == "set()\n"


def test_a_part_is_sent_by_its_indices() -> None:
    """Worker 1 of 3 sends arrivals 1, 4, 7 ..., each with the request that the whole load assigns to it."""
    mix = Mix([Request("GET", f"/{letter}") for letter in "abc"])
    with server() as url:
        observed = send(plan(url, "40", 0.3, mix, worker=1, workers=3))
    expected = Counter(f"GET {mix.choose(index).label}" for index in range(1, 12, 3))
    assert {label: route["done"] for label, route in observed["routes"].items()} == expected
    assert (observed["intended"], observed["failed"]) == (4, 0)

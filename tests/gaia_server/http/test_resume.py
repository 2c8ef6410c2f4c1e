"""A WebSocket client that reconnects with `since` is sent what it missed, over real connections and processes."""

import itertools
import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, LiteralString

import psycopg
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from gaia_server.push.replay import MOST
from tests.gaia_server.conftest import Running, Start, poll
from tests.support import plain_http

STORED = ("violation", "alert")


@dataclass
class Watcher:
    """A client that remembers where to resume, and all it was sent, across connections and processes."""

    since: str = "now"
    messages: list[dict[str, Any]] = field(default_factory=list)
    resumed: dict[str, Any] = field(default_factory=dict)  # of the newest connection

    @contextmanager
    def connected(self, server: Running) -> Iterator[ClientConnection]:
        """Connect, and be sent what was missed."""
        url = f"{server.websocket_url}?since={self.since}"
        with connect(url, additional_headers=server.bearer, open_timeout=60, ping_timeout=None) as websocket:
            self.until(websocket, "resumed")
            yield websocket

    def until(self, websocket: ClientConnection, kind: str, *, within_s: float = 15.0) -> dict[str, Any]:
        """Receive up to the next message of a type."""
        deadline = time.monotonic() + within_s
        while True:
            message: dict[str, Any] = json.loads(websocket.recv(timeout=max(deadline - time.monotonic(), 0)))
            if message["type"] == "resumed":
                self.resumed, self.since = message["data"], message["data"]["since"]
            elif message["type"] in STORED:
                self.messages.append(message)
                self.since = message["timestamp"]
            if message["type"] == kind:
                return message

    def follow(self, server: Running, hits: int) -> None:
        """Stay connected until so many refusals were reported."""
        with self.connected(server) as websocket:
            while sum(self.hits().values()) < hits:
                self.until(websocket, "violation")

    def hits(self) -> Counter[str]:
        """Return how many refusals of each API key were reported. A fast test is refused by its address as well."""
        found: Counter[str] = Counter()
        for message in self.messages:
            if message["type"] == "violation" and message["data"]["scope"] == "api_key":
                found[message["data"]["key"].removeprefix("api_key:")] += message["data"]["hits"]
        return found

    def assert_in_order(self) -> None:
        """No message came twice, and none before an earlier one."""
        times = [message["timestamp"] for message in self.messages]
        assert times == sorted(set(times))


def refuse(server: Running, **counts: int) -> None:
    """Let each key be refused so often, by a rule that may exist already."""
    rules = {rule["scope_value"] for rule in server.get(f"{server.home}/config?limit=200", timeout=60).json()["items"]}
    for key, count in counts.items():
        if key not in rules:
            server.rule(scope_value=key, limit_value=0)
        for _ in range(count):
            refused = server.get(f"{server.home}/usage", headers={"X-API-Key": key}, timeout=60)
            assert refused.status_code == 429


def stop(server: Running) -> None:
    """Stop a server as a deployment does."""
    server.process.terminate()
    assert server.process.wait(10) == 0


def stored(dsn: str) -> Counter[str]:
    """Return how many refusals of each API key the database has."""
    with psycopg.connect(dsn) as connection:
        rows = connection.execute(
            "SELECT key, sum(hits)::bigint FROM rate_limit_violations WHERE key LIKE 'api_key:%' GROUP BY key"
        )
        return Counter({key.removeprefix("api_key:"): hits for key, hits in rows})


def test_missed_while_away(start: Start) -> None:
    """What both processes refused meanwhile is replayed by either of them, once and in order; then live goes on."""
    here, there = start(), start()
    watcher = Watcher()
    with watcher.connected(here) as websocket:
        assert watcher.resumed["replayed"] == 0
        refuse(here, first=2)
        watcher.until(websocket, "violation")
    refuse(here, near=3)
    refuse(there, far=4)
    poll(lambda: pushed(here.dsn) == sum(stored(here.dsn).values()))
    with watcher.connected(there) as websocket:
        assert watcher.resumed["complete"] is True
        assert watcher.resumed["replayed"] >= 2
        assert set(watcher.hits()) == {"first", "near", "far"}
        refuse(here, live=1)
        while not watcher.hits()["live"]:
            watcher.until(websocket, "violation")
    assert watcher.hits() == {"first": 2, "near": 3, "far": 4, "live": 1} == stored(here.dsn)
    watcher.assert_in_order()


def pushed(dsn: str) -> int:
    """Return how many refusals of API keys messages are about."""
    return messages_of_keys(dsn, "coalesce(sum(p.hits), 0)::bigint")


def messages_of_keys(dsn: str, figure: LiteralString) -> int:
    """Return a figure of the stored messages about API keys."""
    with psycopg.connect(dsn) as connection:
        row = connection.execute(
            "SELECT " + figure + " FROM push_messages AS p JOIN rate_limit_violations AS v ON v.id = p.violation_id"
            " WHERE v.key LIKE 'api_key:%'"
        ).fetchone()
    assert row
    return int(row[0])


def test_across_a_restart(start: Start) -> None:
    """A new process replays what an old one pushed, and what the old one refused before it stopped."""
    old = start()
    watcher = Watcher()
    with watcher.connected(old):
        pass
    refuse(old, gone=5)
    stop(old)
    new = start()
    refuse(new, back=2)
    watcher.follow(new, 7)
    assert watcher.hits() == {"gone": 5, "back": 2} == stored(old.dsn)
    watcher.assert_in_order()


@pytest.mark.parametrize("others", [0, 1])
def test_across_a_kill(start: Start, others: int) -> None:
    """Refusals that a killed process had not pushed yet are pushed by another, or by the next; none of them twice."""
    server, *rest = (start() for _ in range(1 + others))
    watcher = Watcher()
    for turn in range(1, 4):
        with watcher.connected(server):
            pass
        refuse(server, killed=7)
        server.process.kill()
        server.process.wait()
        server = rest[0] if rest and turn == 3 else start()
    watcher.follow(server, 21)
    assert watcher.hits() == {"killed": 21} == stored(server.dsn)
    watcher.assert_in_order()


def test_an_alert_is_replayed(start: Start) -> None:
    """An alert that fired meanwhile is replayed with the data that it was pushed with."""
    server = start()
    watcher, live = Watcher(), Watcher()
    with watcher.connected(server):
        pass
    with live.connected(server) as websocket:
        refuse(server, alarming=101)
        fired = live.until(websocket, "alert")
    stop(server)
    with watcher.connected(start()):
        alerts = [message for message in watcher.messages if message["type"] == "alert"]
    assert {**alerts[0], "seq": fired["seq"]} == fired
    assert fired["data"]["state"] == "firing"
    watcher.assert_in_order()


def test_no_gap_and_no_double_at_the_border(start: Start) -> None:
    """Clients that reconnect all the time, here and there, are sent every refusal once while others are refused."""
    here, there = start(), start()
    refuse(here, racing=0, beside=0)
    watchers = [Watcher() for _ in range(4)]
    over = threading.Event()

    def reconnect(watcher: Watcher) -> None:
        for server in itertools.cycle((here, there)):
            with watcher.connected(server):
                if over.is_set():
                    return

    for watcher in watchers:
        with watcher.connected(here):
            pass
    with ThreadPoolExecutor(len(watchers)) as pool:
        reconnecting = [pool.submit(reconnect, watcher) for watcher in watchers]
        try:
            for _ in range(15):
                refuse(here, racing=5)
                refuse(there, beside=5)
        finally:
            over.set()
        for one in reconnecting:
            one.result()
    for watcher in watchers:
        watcher.follow(here, 150)
        assert watcher.hits() == {"racing": 75, "beside": 75} == stored(here.dsn)
        watcher.assert_in_order()


@pytest.mark.parametrize(
    "since",
    ["", "yesterday", "2026-02-26T10:00:00", "1772100000", "2026-02-26T10:00:00Z&since=now", "2026-13-01T00:00:00Z"],
)
def test_a_wrong_since_is_refused(server: Running, since: str) -> None:
    """A time that the API would refuse closes the connection, with the same words."""
    with connect(f"{server.websocket_url}?since={since}", additional_headers=server.bearer) as websocket:
        with pytest.raises(ConnectionClosed) as caught:
            websocket.recv(timeout=5)
        assert caught.value.rcvd
        assert caught.value.rcvd.code == 4422
        expected = (
            "since is given more than once"
            if "&" in since
            else "since is not a time with a zone, e.g. 2026-02-26T10:00:00Z, or now"
        )
        assert caught.value.rcvd.reason == expected
    assert closed_without_token(server) == 4401


def closed_without_token(server: Running) -> int:
    """Return the close code for a client without a token: it does not learn what else is wrong."""
    with connect(f"{server.websocket_url}?since=wrong") as websocket, pytest.raises(ConnectionClosed) as caught:
        websocket.recv(timeout=5)
    assert caught.value.rcvd
    return caught.value.rcvd.code


def test_other_parameters_are_ignored(server: Running) -> None:
    """A client without `since` is sent no `resumed`, whatever else its URL contains."""
    with connect(f"{server.websocket_url}?a=1&a=2", additional_headers=server.bearer) as websocket:
        types = {json.loads(websocket.recv(timeout=11))["type"] for _ in range(3)}
    assert "resumed" not in types


def flooded(dsn: str, rows: int) -> str:
    """Store so many messages, of as many keys, and one before; return the position of that one."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("UPDATE rate_limit_alert_rules SET enabled = false")  # an alert would be one message more
        connection.execute(
            "INSERT INTO rate_limit_violations (rule_id, key, resource_type, occurred_at, last_at)"
            " SELECT min(c.id), 'ip:' || n, 'config', date_trunc('second', now()), now()"
            " FROM rate_limit_configs AS c, generate_series(0, %s) AS n GROUP BY n",
            (rows,),
        )
        messages = connection.execute(
            "SELECT json_build_object('rule_id', rule_id, 'key', key, 'occurred_at', occurred_at, 'hits', 1)"
            " FROM rate_limit_violations ORDER BY substr(key, 4)::int"
        ).fetchall()
        for message in messages:
            connection.execute("SELECT push_violations(%s::json)", (json.dumps(message),))
        (first,) = connection.execute("SELECT min(pushed_at) FROM push_messages").fetchone() or ()
    return str(first.astimezone(UTC).isoformat().replace("+00:00", "Z"))


@pytest.mark.parametrize("more", [0, 1])
def test_bounded(start: Start, schema: str, more: int) -> None:
    """At most MOST messages are replayed, the newest, also by a process that reads them at its start."""
    watcher = Watcher(since=flooded(schema, MOST + more))
    with watcher.connected(start()):
        assert len(watcher.messages) == MOST
        assert watcher.resumed["complete"] is (more == 0)
        assert watcher.messages[-1]["data"]["key"] == f"ip:{MOST + more}"
    watcher.assert_in_order()


def test_after_more_than_five_minutes(start: Start, schema: str) -> None:
    """Older messages are not replayed, and the answer says that more may be missing."""
    flooded(schema, 9)
    with psycopg.connect(schema) as connection:
        connection.execute(
            "UPDATE push_messages SET pushed_at = pushed_at - interval '301 seconds'"
            " WHERE pushed_at IN (SELECT pushed_at FROM push_messages ORDER BY pushed_at LIMIT 4)"
        )
    watcher = Watcher(since=(datetime.now(UTC) - timedelta(minutes=9)).isoformat().replace("+00:00", "Z"))
    with watcher.connected(start()):
        assert len(watcher.messages) == 6
        assert watcher.resumed["complete"] is False


def test_a_hundred_clients_at_once_after_a_restart(start: Start, schema: str) -> None:
    """All are sent what they missed; whoever of them does not read delays nobody."""
    first = start()
    watchers = [Watcher() for _ in range(100)]
    for watcher in watchers:
        with watcher.connected(first):
            pass
    refuse(first, all=3)
    poll(lambda: pushed(schema) == 3)
    stop(first)
    second = start()
    with ExitStack() as stack:
        for _ in range(20):  # asks for everything and reads nothing
            stack.enter_context(
                connect(f"{second.websocket_url}?since={watchers[0].since}", additional_headers=second.bearer)
            )
        for watcher in watchers:
            stack.enter_context(watcher.connected(second))
    assert {(watcher.hits()["all"], watcher.resumed["complete"]) for watcher in watchers} == {(3, True)}


def test_a_second_attempt_pushes_nothing_twice(start: Start, schema: str) -> None:
    """Messages are never about more refusals than were stored, however often and by whomever they are appended."""
    server = start()
    refuse(server, counted=3)
    poll(lambda: pushed(schema) == 3)
    with psycopg.connect(schema, autocommit=True) as connection:
        (row,) = connection.execute("SELECT json_agg(data) FROM push_messages").fetchone() or (None,)
        for _ in range(2):
            connection.execute("SELECT push_violations(%s::json)", (json.dumps(row),))
    assert pushed(schema) == 3


def test_messages_end_with_their_rule_and_after_ten_minutes(start: Start, schema: str) -> None:
    """No message about a deleted rule is left, and none that is older than ten minutes once others are pushed."""
    server = start()
    refuse(server, deleted=1, old=1)
    poll(lambda: pushed(schema) == 2)
    rules = {rule["scope_value"]: rule["id"] for rule in server.get(f"{server.home}/config").json()["items"]}
    answer = plain_http.delete(f"{server.home}/config/{rules['deleted']}", headers=server.headers)
    assert answer.status_code == 204
    assert pushed(schema) == 1
    with psycopg.connect(schema, autocommit=True) as connection:
        connection.execute("UPDATE push_messages SET pushed_at = pushed_at - interval '601 seconds'")
    refuse(server, new=1)
    poll(lambda: messages_of_keys(schema, "count(*)") == 1)

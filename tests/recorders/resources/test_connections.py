"""The look at connections, on a real PostgreSQL."""

import contextlib
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from starlette.routing import Route

from gaia_checks.model import Measurement
from gaia_checks.recorders.resources import connections
from gaia_checks.recorders.resources.connections import (
    IN_USE,
    MOST,
    SIZE,
    WAITING,
    ServerPool,
    Sessions,
    Worst,
    pool_of,
)
from gaia_checks.target import prometheus_text
from tests.probes.servers import answering, serving, target
from tests.recorders import stage

NAMES = ("connections.peak_of_pool", "connections.idle_in_transaction", "connections.waiters")


def metrics(in_use: float = 4, waiting: float = 0, most: float = 10) -> str:
    """What the server says of its pool."""
    return f"# HELP {IN_USE} Connections in use.\n{IN_USE} {in_use}\n{WAITING} {waiting}\n{MOST} {most}\n"


def look(
    folder: Path, database: str | None, *routes: Route, window_s: float = 1
) -> tuple[Measurement, Measurement, Measurement]:
    """Look at a server with these routes; return share of the pool, idle in transaction, waiters."""
    with serving(*routes) as url:
        looked_at = target(url, database_url=database)
        observed = stage.run(connections.record, looked_at, folder, window_s=window_s, interval_s=0.2)
    return observed[NAMES[0]], observed[NAMES[1]], observed[NAMES[2]]


@contextlib.contextmanager
def session(database: str, name: str = "gaia_server") -> Iterator[psycopg.Connection]:
    """A session such as the server has."""
    with psycopg.connect(database, application_name=name) as connection:
        connection.autocommit = True
        yield connection


def test_a_healthy_server_is_observed_for_the_whole_window(tmp_path: Path, database: str) -> None:
    """The pool is read from its gauges, the sessions from PostgreSQL."""
    with session(database):
        pool, idle, waiters = look(tmp_path, database, answering("/metrics", metrics(), media="text/plain"))
    assert (pool.value, idle.value, waiters.value) == (0.4, 0, 0)
    assert all(observed.n >= 4 and observed.window_s >= 1 and not observed.notes for observed in (pool, idle, waiters))
    last = stage.timeline_of(tmp_path)[-1]
    assert (last["pool_in_use"], last["sessions"]) == (4, 1)
    assert last["worst"] == "at most 40% of the pool in use, 0 waiting, 0 idle in a transaction"


def test_idle_transactions_and_lock_waits_count_after_a_second(tmp_path: Path, database: str) -> None:
    """An idle transaction with a lock, a session waiting for it, and requests waiting for the pool are counted."""
    with session(database) as holder, session(database) as waiting:
        holder.execute("CREATE TABLE t ()")
        holder.execute("BEGIN; LOCK t")
        waiter = threading.Thread(target=waiting.execute, args=("BEGIN; LOCK t",))
        waiter.start()
        _, idle, waiters = look(
            tmp_path, database, answering("/metrics", metrics(waiting=3), media="text/plain"), window_s=1.5
        )
        holder.execute("ROLLBACK")
        waiter.join()
    assert (idle.value, waiters.value) == (1, 4)


def test_sessions_of_others_do_not_count(tmp_path: Path, database: str) -> None:
    """Without a session of the server there are no samples, but a reason."""
    with session(database, "psql") as other:
        other.execute("BEGIN")
        _, idle, waiters = look(tmp_path, database, answering("/metrics", metrics(), media="text/plain"))
    assert (idle.n, waiters.n) == (0, 0)
    assert "no session of the application gaia_server" in idle.notes[0]


def test_without_a_database_only_the_pool_is_observed(tmp_path: Path) -> None:
    """Measurements of both have no samples; the note names the variable."""
    pool, idle, waiters = look(tmp_path, None, answering("/metrics", metrics(in_use=10), media="text/plain"))
    assert (pool.value, pool.n > 0) == (1.0, True)
    assert (idle.n, waiters.n) == (0, 0)
    assert "export" in idle.notes[0]
    assert "DATABASE_URL" in idle.notes[0]


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("postgresql://u:hunter2@127.0.0.1:1/none", "connection"),
        ("postgresql://u:hunter2@[", "is no connection string"),
    ],
)
def test_a_database_that_cannot_be_reached_is_named_without_its_password(tmp_path: Path, url: str, why: str) -> None:
    """A failed connection of the gate gives no samples, but a reason."""
    _, idle, _ = look(tmp_path, url, answering("/metrics", metrics(), media="text/plain"))
    assert idle.n == 0
    assert why in idle.notes[0]
    assert "hunter2" not in str(idle.notes)


@pytest.mark.parametrize(
    ("route", "why"),
    [
        (answering("/metrics", "nothing", 403), "status 403"),
        (answering("/metrics", "other 1\n", media="text/plain"), f"the gauge {IN_USE} is missing"),
        (answering("/metrics", f"{IN_USE} many\n", media="text/plain"), f"{IN_USE} many"),
        (answering("/metrics", metrics(most=0), media="text/plain"), f"{MOST} is 0"),
        (
            answering("/metrics", metrics() + f'{IN_USE}{{pool="full"}} 10\n', media="text/plain"),
            f"the gauge {IN_USE} has 2 series; one without labels is expected",
        ),
    ],
)
def test_metrics_without_the_pool_decide_nothing(tmp_path: Path, database: str, route: Route, why: str) -> None:
    """Missing pool metrics do not affect the sessions."""
    with session(database):
        pool, idle, waiters = look(tmp_path, database, route)
    assert (pool.n, idle.n > 0, waiters.n) == (0, True, 0)
    assert why in pool.notes[0]
    assert why in waiters.notes[0]


def test_a_session_that_was_lost_is_opened_again(tmp_path: Path, postgres: str, database: str) -> None:
    """The hole has a note, and the recorder continues."""
    name = psycopg.conninfo.conninfo_to_dict(database)["dbname"]

    def cut() -> None:
        with psycopg.connect(postgres, autocommit=True) as admin:
            done, deadline = False, time.monotonic() + 10
            while not done and time.monotonic() < deadline:
                done = bool(
                    admin.execute(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                        " WHERE application_name = 'gaia_checks' AND datname = %s",
                        (name,),
                    ).rowcount
                )

    cutter = threading.Thread(target=cut)
    with session(database):
        cutter.start()
        _, idle, _ = look(tmp_path, database, answering("/metrics", metrics(), media="text/plain"), window_s=1)
        cutter.join()
    assert idle.n >= 3
    assert "the gate's own session in the database" in idle.notes[0]


def test_gauges_are_read_with_or_without_labels() -> None:
    """Gauges are parsed from any server's Prometheus text."""
    text = f'{IN_USE}{{pool="a"}} 2.0 1395066363000\n{IN_USE}_total 9\n{WAITING}\t1e0\n{MOST} 4\n'
    assert pool_of(prometheus_text.read(text)) == ServerPool(2.0, 1.0, 4.0)


def test_too_few_samples_decide_nothing(tmp_path: Path, database: str) -> None:
    """Fewer than four samples give n = 0."""
    route = answering("/metrics", metrics(in_use=10, waiting=3), media="text/plain")
    with session(database):
        pool, idle, waiters = look(tmp_path, database, route, window_s=0.3)
    assert (pool.n, idle.n > 0, waiters.n) == (0, True, 0)
    assert "at least 4 are required" in pool.notes[0]


def test_the_worst_that_lasted_is_kept() -> None:
    """A single sample in a burst does not count; listed sessions wait for over a second."""
    worst = Worst()
    for in_use, waiting in [(10, 3), (1, 0), (9, 2), (8, 4), (9, 2), (10, 3), (1, 0)]:
        worst.add(ServerPool(in_use, waiting, 10), Sessions(3, 0, 0))
    assert (worst.of_pool, worst.waiters) == (0.8, 2)
    worst.add(ServerPool(1, 0, 10), Sessions(3, 2, 1))
    worst.add(None, Sessions(3, 0, 3))
    assert (worst.of_pool, worst.idle_in_transaction, worst.waiters) == (0.8, 2, 3)


def test_more_connections_than_the_maximum_are_reported(tmp_path: Path) -> None:
    """A maximum below the pool's size is wrong in one sample; the note has both numbers."""
    route = answering("/metrics", metrics(in_use=0, most=2) + f"{SIZE} 5\n", media="text/plain")
    pool, _, _ = look(tmp_path, None, route)
    assert pool.value == 2.5
    assert pool.notes == (f"{MOST} is 2, and the pool has 5 connections ({SIZE})",)


def test_a_pool_at_its_maximum_is_not_full_without_use(tmp_path: Path) -> None:
    """Connections that wait for use are none in use."""
    route = answering("/metrics", metrics(in_use=1, most=10) + f"{SIZE} 10\n", media="text/plain")
    pool, _, _ = look(tmp_path, None, route)
    assert (pool.value, pool.notes) == (0.1, ())


def test_samples_that_are_missing_do_not_hide_what_lasts() -> None:
    """Lost answers between samples do not hide a full pool."""
    worst = Worst()
    for _ in range(4):
        worst.add(ServerPool(10, 1, 10), None)
        worst.add(None, None)
    assert (worst.of_pool, worst.waiters) == (1, 1)

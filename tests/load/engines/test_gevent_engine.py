"""Tests of the default engine's workers: every job runs at once, and ends with the load."""

import gevent
from gevent.event import Event

from gaia_checks.load.engines.gevent_engine import Workers


def test_jobs_run_together_and_greenlets_are_used_again() -> None:
    """A slow job delays no other; ten jobs one after the other need one more greenlet."""
    slow, done, greenlets = Event(), list[int](), set[int]()

    def act(index: int, _due_s: float) -> None:
        greenlets.add(id(gevent.getcurrent()))
        if index == 0:
            slow.wait()
        done.append(index)

    workers = Workers(act)
    workers.start((0, 0.0))
    for index in range(1, 11):
        workers.start((index, 0.0))
        gevent.sleep(0)
        gevent.sleep(0)
    assert done == list(range(1, 11))
    slow.set()
    workers.join()
    assert done[-1] == 0
    assert len(greenlets) == 2


def test_join_waits_for_jobs_that_have_not_started() -> None:
    """A job given to an idle greenlet just before the end is done as well."""
    done: list[int] = []
    workers = Workers(lambda index, _due_s: done.append(index))
    workers.start((0, 0.0))
    gevent.sleep(0)
    workers.start((1, 0.0))
    workers.start((2, 0.0))
    workers.join()
    assert sorted(done) == [0, 1, 2]


def test_kill_drops_jobs() -> None:
    """A job that waits forever does not keep the load from its end."""
    started: list[int] = []

    def act(index: int, _due_s: float) -> None:
        started.append(index)
        Event().wait()

    workers = Workers(act)
    workers.start((0, 0.0))
    gevent.sleep(0)
    workers.kill()
    workers.join()
    assert started == [0]

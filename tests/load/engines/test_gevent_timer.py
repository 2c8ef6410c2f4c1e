"""Tests of the alarms: never early, hardly late."""

import time

import gevent

from gaia_checks.load.engines.gevent_timer import Alarm


def test_an_alarm_is_never_early_and_lets_others_run() -> None:
    """Twenty alarms 10 ms apart fire in order while another greenlet counts."""
    turns = 0

    def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            gevent.sleep(0.001)

    counting = gevent.spawn(count)
    began = time.monotonic()
    with Alarm() as alarm:
        for number in range(1, 21):
            alarm.until(began + number / 100)
            assert time.monotonic() >= began + number / 100
    counting.kill()
    assert turns > 20
    assert time.monotonic() - began < 2


def test_a_moment_that_is_over_is_not_waited_for() -> None:
    """An alarm in the past returns at once."""
    with Alarm() as alarm:
        began = time.monotonic()
        for _ in range(1000):
            alarm.until(began)
    assert time.monotonic() - began < 1


def test_a_closed_alarm_may_be_closed_again() -> None:
    """Closing twice is harmless."""
    alarm = Alarm()
    alarm.close()
    alarm.close()

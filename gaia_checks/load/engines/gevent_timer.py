"""Precise alarms inside gevent: a kernel timer on Linux (0.2 ms late), gevent's own timer elsewhere (0.7 ms).

gevent computes its timers from its loop's cached time. A kernel timer armed with the absolute time is one more file
descriptor that the loop watches.
"""

import time
from types import TracebackType
from typing import Self

import gevent

from gaia_checks.load.engines.timerfd import Timer


class Alarm:
    """Waits until given times of `time.monotonic()`. One greenlet at a time may wait. A context manager."""

    def __init__(self) -> None:
        self._timer = Timer.create()
        self._watcher = None if self._timer is None else gevent.get_hub().loop.io(self._timer.fileno(), 1)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def until(self, moment_s: float) -> None:
        """Wait until `moment_s`; return at once when it has passed."""
        if moment_s <= time.monotonic():
            return
        if self._timer is None:
            gevent.sleep(max(0.0, moment_s - time.monotonic()))
            return
        self._timer.arm(moment_s)
        gevent.get_hub().wait(self._watcher)
        self._timer.clear()

    def close(self) -> None:
        """Release the timer."""
        if self._watcher is not None:
            self._watcher.close()
            self._watcher = None
        if self._timer is not None:
            self._timer.close()
            self._timer = None

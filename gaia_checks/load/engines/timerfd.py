"""A Linux kernel timer as a file descriptor that any event loop can watch (timerfd_create(2))."""

import ctypes
import os
import sys
from typing import Self

_CLOCK_MONOTONIC = 1
_NONBLOCK_CLOEXEC = os.O_NONBLOCK | getattr(os, "O_CLOEXEC", 0)
_ABSOLUTE = 1  # TFD_TIMER_ABSTIME


class _Timespec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


class _Itimerspec(ctypes.Structure):
    _fields_ = (("interval", _Timespec), ("value", _Timespec))


class Timer:
    """Becomes readable at an absolute time of `time.monotonic()`, late only by the wake-up itself."""

    def __init__(self) -> None:
        """Create the timer. Raises OSError when the kernel refuses."""
        self._library = ctypes.CDLL(None, use_errno=True)
        self._descriptor = int(self._library.timerfd_create(_CLOCK_MONOTONIC, _NONBLOCK_CLOEXEC))
        if self._descriptor < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create failed")
        self._when = _Itimerspec()
        self._pointer = ctypes.byref(self._when)

    @classmethod
    def create(cls) -> Self | None:
        """Return a timer on Linux, else None."""
        return cls() if sys.platform == "linux" else None

    def fileno(self) -> int:
        """Return the file descriptor to watch."""
        return self._descriptor

    def arm(self, moment_s: float) -> None:
        """Arm the timer; a time that has passed makes it readable at once."""
        seconds = int(moment_s)
        self._when.value.seconds = seconds
        self._when.value.nanoseconds = max(1, int((moment_s - seconds) * 1e9))  # 0 s and 0 ns would disarm it
        if self._library.timerfd_settime(self._descriptor, _ABSOLUTE, self._pointer, None) != 0:
            raise OSError(ctypes.get_errno(), "timerfd_settime failed")

    def clear(self) -> None:
        """Clear the expiry; the timer is unreadable until armed again."""
        os.read(self._descriptor, 8)

    def close(self) -> None:
        """Close the descriptor."""
        os.close(self._descriptor)

"""Calls an adapter in the load's own process: thousands of answers a second leave no time to ask another one.

An alarm bounds the time of each call, and a limit the memory that it may add. Only the main thread may call.
"""

import functools
import resource
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gaia_checks.contract import adapter, wording
from gaia_checks.contract.adapter import HttpAnswer, HttpRequest, Translated
from gaia_checks.errors import AdapterError

_RETURNS_WITHIN_S = 5.0
_AGAIN_S = 0.5  # for one that catches the alarm's exception
_MORE_MEMORY_BYTES = 1 << 30


class _AlarmError(BaseException):
    """A call took too long."""


class InlineTranslator:
    """One adapter in this process."""

    def __init__(self, source: str) -> None:
        """Load the adapter. Raises whatever its text raises."""
        signal.signal(signal.SIGALRM, _alarm)
        with _bounded():
            self._adapter = adapter.load(source)
        self._name = type(self._adapter).__name__
        self._late: dict[str, str] = {}  # what was to be translated -> that it took too long: not tried again

    def request(self, request: HttpRequest) -> HttpRequest:
        """Return a request of the contract as the server understands it. Raises AdapterError."""
        return self._call("request", wording.of_request(request), HttpRequest, lambda: self._adapter.request(request))

    def answer(self, request: HttpRequest, answer: HttpAnswer) -> HttpAnswer:
        """Return an answer as the contract has it; an error of the server that the adapter does not know as it came.

        Raises AdapterError.
        """
        about = wording.of_answer(request, answer)
        try:
            return self._call("answer", about, HttpAnswer, lambda: self._adapter.answer(request, answer))
        except AdapterError as error:
            if wording.needs_no_translation(answer) and isinstance(error.__cause__, Exception):
                return answer
            raise

    def _call(self, method: str, about: str, kind: type[Translated], translate: Callable[[], Translated]) -> Translated:
        if why := self._late.get(f"{method} {about}"):
            raise AdapterError(why)
        try:
            with _bounded():
                return adapter.checked(translate(), kind)
        except _AlarmError as error:
            why = wording.cannot(self._name, about, method, wording.too_late(_RETURNS_WITHIN_S))
            self._late[f"{method} {about}"] = why
            raise AdapterError(why) from error
        except (Exception, SystemExit) as error:
            raise AdapterError(wording.cannot(self._name, about, method, wording.raised(error))) from error


@contextmanager
def _bounded() -> Iterator[None]:
    """Bound the time and the memory that is taken in the block."""
    most = resource.getrlimit(resource.RLIMIT_AS)
    bounds = [each for each in (_more_than_now(), *most) if each != resource.RLIM_INFINITY]
    signal.setitimer(signal.ITIMER_REAL, _RETURNS_WITHIN_S, _AGAIN_S)
    resource.setrlimit(resource.RLIMIT_AS, (min(bounds, default=resource.RLIM_INFINITY), most[1]))
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        resource.setrlimit(resource.RLIMIT_AS, most)


@functools.cache
def _more_than_now() -> int:
    """Return the bytes of addresses that this process may have while an adapter runs; as many as it likes elsewhere."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    except OSError:  # not Linux
        return resource.RLIM_INFINITY
    return pages * resource.getpagesize() + _MORE_MEMORY_BYTES


def _alarm(*_: Any) -> None:
    raise _AlarmError


@functools.cache
def running(source: str) -> InlineTranslator:
    """Return the adapter of a text. Raises whatever the text raises."""
    return InlineTranslator(source)

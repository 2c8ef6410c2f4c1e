"""The process in which one adapter runs: `serve` answers the calls of a `Translator`, its parent.

Standard input is a socket. A line from the parent is `[method, arguments]`; the answer is `{"returned": ...}` or
`{"raised": "raised KeyError('name')"}`. It ends when its parent does, and when a call takes twice as long as its
parent waits.
"""

import json
import os
import resource
import signal
from collections.abc import Callable
from typing import Any

from gaia_checks.contract import adapter, wording
from gaia_checks.contract.adapter import Adapter, HttpAnswer, HttpRequest, plain

_SOCKET = 0
_MOST_MEMORY_BYTES = 1 << 30  # of addresses: more than that raises MemoryError


def serve(returns_within_s: float) -> None:
    """Answer calls until the parent closes the socket."""
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    most = _MOST_MEMORY_BYTES if hard == resource.RLIM_INFINITY else min(hard, _MOST_MEMORY_BYTES)
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    served = _Served()
    _answer({"returned": None})  # ready
    with os.fdopen(_SOCKET, "rb", closefd=False) as lines:
        for line in lines:
            signal.setitimer(signal.ITIMER_REAL, 2 * returns_within_s)  # ends a process that nobody waits for
            _answer(served.called(*json.loads(line)))
            signal.setitimer(signal.ITIMER_REAL, 0)


class _Served:
    """An adapter, once its text was received."""

    def __init__(self) -> None:
        self._adapter = Adapter()
        self._methods: dict[str, Callable[..., Any]] = {
            "load": self._load, "request": self._request, "answer": self._translated, "message": self._message,
            "reply": self._reply,
        }  # fmt: skip

    def called(self, method: str, arguments: list[Any]) -> dict[str, Any]:
        """Call a method; return what it returned, or raised."""
        try:
            return {"returned": self._methods[method](*arguments)}
        except BaseException as error:  # noqa: BLE001 - whatever it raises is the parent's to report
            text = f"{type(error).__name__}: {error}" if method == "load" else wording.raised(error)
            return {"raised": " ".join(text.split())}

    def _load(self, source: str) -> str:
        self._adapter = adapter.load(source)
        return type(self._adapter).__name__

    def _request(self, request: dict[str, Any]) -> dict[str, Any]:
        return plain(adapter.checked(self._adapter.request(HttpRequest(**request)), HttpRequest))

    def _translated(self, request: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
        found = self._adapter.answer(HttpRequest(**request), HttpAnswer(**answer))
        return plain(adapter.checked(found, HttpAnswer))

    def _message(self, message: Any) -> Any:
        return _object(self._adapter.message(message))

    def _reply(self, message: Any) -> Any:
        return None if (found := self._adapter.reply(message)) is None else _object(found)


def _object(found: Any) -> dict[str, Any]:
    """Return a translated message. Raises TypeError for anything else."""
    if not isinstance(found, dict):
        raise TypeError(f"it returned {type(found).__name__}, not dict")
    json.dumps(found)
    return found


def _answer(document: dict[str, Any]) -> None:
    data = json.dumps(document).encode() + b"\n"
    while data:
        data = data[os.write(_SOCKET, data) :]

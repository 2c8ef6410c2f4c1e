"""Calls an adapter, which runs in a process of its own: whatever it does there, the caller goes on within seconds.

An adapter that never returns, allocates without end or ends its process raises AdapterError here, as one does that
raises an exception. Its process is started again for other content; what stopped it once is not tried again, so that a
gate waits once. It has no variable of the gate's environment.
"""

import contextlib
import functools
import json
import os
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from gaia_checks.contract import wording
from gaia_checks.contract.adapter import HttpAnswer, HttpRequest, plain
from gaia_checks.errors import AdapterError, EnvironmentFileError

_RETURNS_WITHIN_S = 5.0
_MOST_STOPPED = 20  # then it is not started again
_READY_WITHIN_S = 60.0  # until Python runs and has imported the adapter's base class, also on a busy machine

_SERVE = """
import json, sys
sys.path[:] = json.loads(sys.argv[1])
from gaia_checks.contract import adapter_process
adapter_process.serve(float(sys.argv[2]))
"""


class _RaisedError(Exception):
    """An exception of the adapter's, in words."""


class Translator:
    """One adapter in its process. Calls from several threads take turns."""

    def __init__(self, source: str) -> None:
        """Start the process and load the adapter. Raises AdapterError with the reason when that fails."""
        self._turn, self._source = threading.Lock(), source
        self._stopped_by: dict[str, str] = {}  # what was to be translated -> why its process was stopped
        self._start()

    @property
    def stopped(self) -> str:
        """Why its process was stopped first; empty if it never was."""
        return next(iter(self._stopped_by.values()), "")

    def _start(self) -> None:
        self._ours, theirs = socket.socketpair()
        for each in (self._ours, theirs):
            os.set_blocking(each.fileno(), True)  # gevent's are not
        argv = (sys.executable, "-I", "-c", _SERVE, json.dumps(sys.path), f"{_RETURNS_WITHIN_S:g}")
        with theirs:  # in a session of its own: after Ctrl-C the gate still needs it, to remove its rules
            self._process: subprocess.Popen[bytes] | None = subprocess.Popen(
                argv, stdin=theirs.fileno(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                env={}, start_new_session=True,
            )  # fmt: skip
        try:
            self._wait_at_most(_READY_WITHIN_S)
            self._read()
            self._wait_at_most(_RETURNS_WITHIN_S)
            self._name = self._exchange("load", self._source)
        except _RaisedError as error:
            self._end()
            raise AdapterError(str(error)) from error
        except OSError as error:
            self._end()
            raise AdapterError(f"it {_no_answer(error)}") from error

    def request(self, request: HttpRequest) -> HttpRequest:
        """Return a request of the contract as the server understands it. Raises AdapterError."""
        returned = self._call("request", wording.of_request(request), plain(request))
        return HttpRequest(**returned)

    def answer(self, request: HttpRequest, answer: HttpAnswer) -> HttpAnswer:
        """Return an answer as the contract has it; an error of the server that the adapter does not know as it came.

        Raises AdapterError.
        """
        sent = plain(answer)
        try:
            returned = HttpAnswer(**self._call("answer", wording.of_answer(request, answer), plain(request), sent))
        except AdapterError as error:
            if wording.needs_no_translation(answer) and isinstance(error.__cause__, _RaisedError):
                return answer
            raise
        return replace(returned, headers=answer.headers) if returned.headers == sent["headers"] else returned

    def message(self, message: Mapping[str, Any]) -> dict[str, Any]:
        """Return a WebSocket message as the contract has it. Raises AdapterError."""
        translated: dict[str, Any] = self._call("message", wording.of_message(message), message)
        return translated

    def reply(self, message: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return what a client must send after a message, None for nothing. Raises AdapterError."""
        owed: dict[str, Any] | None = self._call("reply", wording.of_message(message), message)
        return owed

    def _call(self, method: str, about: str, *arguments: Any) -> Any:
        with self._turn:
            if why := self._stopped_by.get(f"{method} {about}"):
                raise AdapterError(why)
            if self._process is None:
                if len(self._stopped_by) >= _MOST_STOPPED:
                    raise AdapterError(self.stopped)
                self._start()
            try:
                return self._exchange(method, *arguments)
            except _RaisedError as error:
                raise AdapterError(wording.cannot(self._name, about, method, str(error))) from error
            except (ValueError, RecursionError) as error:  # what was to be translated is not JSON after all
                raise AdapterError(wording.cannot(self._name, about, method, wording.raised(error))) from error
            except OSError as error:
                self._end()
                why = wording.cannot(self._name, about, method, _no_answer(error))
                self._stopped_by[f"{method} {about}"] = why
                raise AdapterError(why) from error

    def _exchange(self, method: str, *arguments: Any) -> Any:
        """Return what a method returned. Raises _RaisedError, and OSError when the process does not answer."""
        data = json.dumps([method, arguments]).encode() + b"\n"
        while data:
            data = data[os.write(self._ours.fileno(), data) :]
        answer = self._read()
        if "raised" in answer:
            raise _RaisedError(answer["raised"])
        return answer["returned"]

    def _read(self) -> dict[str, Any]:
        received = bytearray()
        while not received.endswith(b"\n"):
            chunk = os.read(self._ours.fileno(), 1 << 16)
            if not chunk:
                raise ConnectionResetError
            received += chunk
        answer: dict[str, Any] = json.loads(received)
        return answer

    def _wait_at_most(self, limit_s: float) -> None:
        """Let the system end a read or write after so long: that holds in any event loop."""
        limit = struct.pack("ll", int(limit_s), int(limit_s % 1 * 1_000_000))
        for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
            self._ours.setsockopt(socket.SOL_SOCKET, option, limit)

    def _end(self) -> None:
        if self._process:
            self._process.kill()
            self._process.wait()
        self._ours.close()
        self._process = None


@functools.cache
def running(source: str) -> Translator:
    """Return the process of an adapter, given its text; it is started once. Raises AdapterError."""
    return Translator(source)


os.register_at_fork(after_in_child=running.cache_clear)  # two processes cannot share one


def read(label: str, path: Path) -> str:
    """Return the text of an adapter. Raises EnvironmentFileError, with `label`, for one that cannot be used."""
    try:
        source = path.read_text(encoding="utf-8")
        _try_out(running(source))
    except AdapterError as error:
        raise EnvironmentFileError(f"{label}: {path}: {error}") from error
    except (OSError, ValueError) as error:
        why = " ".join(f"{type(error).__name__}: {error}".split())
        raise EnvironmentFileError(f"{label}: {path}: {why}") from error
    return source


def _try_out(translator: Translator) -> None:
    """Call each of its methods once: one that never returns is named now. Raises AdapterError for that alone."""
    health = HttpRequest("GET", "/health")
    for call in (
        lambda: translator.request(health),
        lambda: translator.answer(health, HttpAnswer(200, body={})),
        lambda: translator.message({}),
        lambda: translator.reply({}),
    ):
        with contextlib.suppress(AdapterError):  # it may know real ones only
            call()
    if translator.stopped:
        raise AdapterError(translator.stopped)


def _no_answer(error: OSError) -> str:
    return wording.too_late(_RETURNS_WITHIN_S) if isinstance(error, BlockingIOError) else wording.STOPPED

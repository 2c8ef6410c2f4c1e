"""Adapters: Python for what `[contract.*]` cannot map, of one server (docs/targets.md).

    [contract]
    adapter = "adapters/ours.py"   # beside the environment file

    from gaia_checks.contract.adapter import Adapter, HttpAnswer, HttpRequest

    class Ours(Adapter):
        def message(self, message):
            return {**message, "type": {"ping": "heartbeat"}.get(message["type"], message["type"])}

An adapter translates single requests, answers and messages, and nothing else: whether, when and how often something is
sent, what is measured and what is required stays with the gate. Its text is sealed into the evidence.
"""

import contextlib
import functools
import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from gaia_checks.errors import EnvironmentFileError

_RETURNS_WITHIN_S = 5.0


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """One request. `dataclasses.replace` makes a changed one."""

    method: str
    path: str  # with its query, below the target's address
    headers: Mapping[str, str] = field(default_factory=dict)  # the gate's own: X-API-Key and Authorization, if any
    body: Any = None  # the JSON value; None without one, also where the gate sends what is no JSON on purpose


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """One answer."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)  # by lower-case name
    body: Any = None  # the JSON value; None for anything else, and where the gate reads no body


Translated = TypeVar("Translated", HttpRequest, HttpAnswer)


class Adapter:
    """Translates between the contract and one server. Subclasses override what differs; names may stay in the tables.

    Every method is pure: the same input gives the same output, and nothing is sent or stored. An answer or a message
    for which a method raises an exception, or returns something else, is passed on as it came, and judged so.
    """

    def request(self, request: HttpRequest) -> HttpRequest:
        """Return a request of the contract as the server understands it: method, path, headers, body."""
        return request

    def answer(self, request: HttpRequest, answer: HttpAnswer) -> HttpAnswer:  # noqa: ARG002 - for subclasses
        """Return the server's answer to `request`, a request of the contract, as the contract has it."""
        return answer

    def message(self, message: dict[str, Any]) -> dict[str, Any]:
        """Return a WebSocket message as the contract has it."""
        return message

    def reply(self, message: dict[str, Any]) -> dict[str, Any] | None:  # noqa: ARG002 - for subclasses
        """Return what a client must send after one of the server's messages; None for nothing."""
        return None


def read(label: str, path: Path) -> str:
    """Return the text of an adapter. Raises EnvironmentFileError, with `label`, for one that cannot be used."""
    try:
        source = path.read_text(encoding="utf-8")
        _try_out(source)
    except (Exception, SystemExit) as error:
        why = " ".join(f"{type(error).__name__}: {error}".split())
        raise EnvironmentFileError(f"{label}: {path}: {why}") from error
    return source


def _try_out(source: str) -> None:
    """Load an adapter and call each of its methods: one that never returns is named now, and hangs no gate."""
    failed: list[BaseException] = []

    def call() -> None:
        try:
            loaded = load(source)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - raised below
            failed.append(error)
            return
        for method in (
            lambda: loaded.request(HttpRequest("GET", "/health")),
            lambda: loaded.answer(HttpRequest("GET", "/health"), HttpAnswer(200, body={})),
            lambda: loaded.message({}),
            lambda: loaded.reply({}),
        ):
            with contextlib.suppress(Exception):  # it may know real ones only
                method()

    trial = threading.Thread(target=call, daemon=True)
    trial.start()
    trial.join(_RETURNS_WITHIN_S)
    if failed:
        raise failed[0]
    if trial.is_alive():
        raise TimeoutError(f"it did not return within {_RETURNS_WITHIN_S:g} s")


def checked(found: Translated, kind: type[Translated]) -> Translated:
    """Return what a method returned. Raises TypeError for anything else than a request or answer that can be sent."""
    if not isinstance(found, kind):
        raise TypeError(f"it returned {type(found).__name__}, not {kind.__name__}")
    if not all(isinstance(text, str) for header in found.headers.items() for text in header):
        raise TypeError("headers are not texts")
    if isinstance(found, HttpAnswer) and type(found.status) is not int:
        raise TypeError(f"status is {found.status!r}, not a number")
    json.dumps(found.body)
    return found


@functools.cache
def load(source: str) -> Adapter:
    """Return the adapter in a text. Raises whatever the text raises, and ValueError without exactly one subclass."""
    namespace: dict[str, Any] = {"__name__": "gaia_adapter"}
    exec(compile(source, "<adapter>", "exec"), namespace)  # noqa: S102 - the user's own file, as a suite is
    classes = [each for each in namespace.values() if isinstance(each, type) and each.__module__ == "gaia_adapter"]
    adapters = [each for each in classes if issubclass(each, Adapter)]
    if len(adapters) != 1:
        raise ValueError(f"{len(adapters)} subclasses of Adapter; write exactly one")
    adapter: Adapter = adapters[0]()
    return adapter

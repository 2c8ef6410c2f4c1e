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

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, TypeVar


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

    Every method is pure: the same input gives the same output, and nothing is sent or stored. It runs in a process of
    its own (`translator`). Where it raises an exception, returns something else or does not return, what was to be
    translated decides nothing: its criterion is inconclusive. Only an answer of status 500 or above that a method does
    not know is judged as it came: it needs no translation.
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


def plain(found: HttpRequest | HttpAnswer) -> dict[str, Any]:
    """Return the fields of a request or answer as JSON has them."""
    return {each.name: getattr(found, each.name) for each in fields(found)} | {"headers": dict(found.headers)}


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

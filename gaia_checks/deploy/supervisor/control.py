"""How a command talks to the supervisor: JSON lines over its Unix socket.

    {"do": "serving"}        {"release": folder or null, "beside": whether the order may start beside what runs}
    {"do": "start", "order": {...}, "candidate": bool, "known": bool}   a server, ready or refused
    {"do": "make_room"}      the active server ends, for an order that cannot start beside it
    {"do": "commit"}         the started server is the active one from now on
    {"do": "retire"}         the server that it replaced ends
    {"do": "abort"}          the started server ends
    {"do": "holds", "variables": {...}}     whether the active server was given exactly these
    {"do": "stop"}           everything ends, the supervisor too

Every request has one answer: {"ok": true, ...} or {"error": text, "kind": name of a class in errors.py}. Commands
take turns (they hold the environment's lock): a new conversation, or the end of one, ends what was left unfinished.
What was started and not committed ends; a server that had to make room starts again; one that was replaced ends.
"""

import json
import socket
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from gaia_checks import errors

ANSWER_TIMEOUT_S = 90.0  # above what servers that end may take; a start also has what its order gives it


class Conversation:
    """One connection to a supervisor. A candidate that was started and not committed ends with it."""

    def __init__(self, path: Path) -> None:
        """Connect. Raises OSError when no supervisor listens at `path`."""
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._socket.settimeout(ANSWER_TIMEOUT_S)
            self._socket.connect(str(path))
        except OSError:
            self._socket.close()
            raise
        self._lines = self._socket.makefile("rb")

    def __enter__(self) -> Self:
        """Give the conversation."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Hang up."""
        self._lines.close()
        self._socket.close()

    def ask(self, do: str, **details: Any) -> dict[str, Any]:
        """Send one request and return its answer. Raises the error that the supervisor answers with."""
        try:
            self._socket.settimeout(ANSWER_TIMEOUT_S + (details["order"]["ready_s"] if do == "start" else 0))
            self._socket.sendall(encode({"do": do, **details}))
            line = self._lines.readline()
        except OSError as error:
            raise errors.DeployError(f"the supervisor does not answer to {do}: {error}; run: gaia stop ENV") from error
        if not line.endswith(b"\n"):
            raise errors.DeployError(f"the supervisor ended before it answered to {do}; its log says why")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise getattr(errors, answer["kind"])(answer["error"])
        return answer


def encode(message: Mapping[str, Any]) -> bytes:
    """Return a message as a line."""
    return json.dumps(message, separators=(",", ":")).encode() + b"\n"

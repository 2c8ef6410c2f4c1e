"""The control protocol between a command and the supervisor: JSON lines over a Unix socket.

    {"do": "serving"}        {"release": folder or null, "beside": whether the order can start beside the active server,
                             "kept": whether that one was adopted and keeps the public socket}
    {"do": "start", "order": {...}, "candidate": bool, "known": bool}   starts a server; answers when it is ready
    {"do": "make_room"}      ends the active server, for an order that cannot start beside it
    {"do": "commit"}         makes the started server the active one
    {"do": "retire"}         ends the server that it replaced
    {"do": "abort"}          ends the started server
    {"do": "holds", "variables": {...}}     whether the active server has exactly these variables
    {"do": "stop"}           stops everything, including the supervisor

Every request has one answer: {"ok": true, ...} or {"error": text, "kind": name of a class in errors.py}. Commands
are serialized by the environment's lock, so when a connection opens or closes the supervisor cleans up: it ends a
server that was started but not committed and one that was replaced, and restarts one that had to make room.
"""

import json
import socket
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from gaia_checks import errors

ANSWER_TIMEOUT_S = 90.0  # above the time limit of ending servers; a start adds its order's `ready_s`


class ControlConnection:
    """One connection to a supervisor. Closing it ends a server that was started but not committed."""

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
        """Return the connection."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connection."""
        self._lines.close()
        self._socket.close()

    def request(self, do: str, **details: Any) -> dict[str, Any]:
        """Send one request and return its answer. Raises the error in the answer."""
        try:
            self._socket.settimeout(ANSWER_TIMEOUT_S + (details["order"]["ready_s"] if do == "start" else 0))
            self._socket.sendall(encode({"do": do, **details}))
            line = self._lines.readline()
        except OSError as error:
            raise errors.DeployError(f"the supervisor does not answer {do}: {error}; run: gaia stop ENV") from error
        if not line.endswith(b"\n"):
            raise errors.DeployError(f"the supervisor exited before it answered {do}; see its log")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise getattr(errors, answer["kind"])(answer["error"])
        return answer


def encode(message: Mapping[str, Any]) -> bytes:
    """Return a message as one JSON line."""
    return json.dumps(message, separators=(",", ":")).encode() + b"\n"

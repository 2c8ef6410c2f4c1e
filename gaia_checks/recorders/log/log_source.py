"""The source of a log's lines: a file of this machine, or one that ssh reads."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

from gaia_checks.model import LogLocation
from gaia_checks.recorders.log import ssh_tail
from gaia_checks.recorders.log.tail import Tail

_END_WITHIN_S = 30.0


class Source(Protocol):
    """A log that is being written."""

    lost: str | None
    """Why some lines are missing."""

    @property
    def up_to_now(self) -> bool:
        """Whether all lines that existed at the start have been read."""

    def lines(self) -> Iterator[list[str]]:
        """Yield the lines since the last call, some at a time. Raises OSError."""

    def last(self) -> list[str]:
        """Return the unfinished last line."""

    def close(self) -> None:
        """Release the log."""


def of(log: LogLocation, begins_before: Callable[[list[str]], bool]) -> Source:
    """Return the source of a log; `begins_before` is for `tail.Tail`. Raises OSError when it is unreachable."""
    return ssh_tail.SshTail(log) if log.host else Tail(Path(log.path), begins_before)


def last_bytes(log: LogLocation, count: int) -> bytes:
    """Return the last `count` bytes of a log. Raises OSError with the reason when it cannot be read."""
    if log.host:
        return ssh_tail.last_bytes(log, count, _END_WITHIN_S)
    with Path(log.path).open("rb") as file:
        file.seek(max(0, file.seek(0, 2) - count))
        return file.read()

"""Where the lines of a log come from: a file of this machine, or one that ssh reads."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

from gaia_checks.model import Log
from gaia_checks.recorders.log import ssh_tail
from gaia_checks.recorders.log.tail import Tail

_END_WITHIN_S = 30.0


class Source(Protocol):
    """A log that is being written."""

    lost: str | None
    """Why some lines were not seen."""

    @property
    def up_to_now(self) -> bool:
        """Whether all that was there at the beginning has been read."""

    def lines(self) -> Iterator[list[str]]:
        """Yield what came since the last call, some lines at a time. Raises OSError."""

    def last(self) -> list[str]:
        """Return the line that has no end yet."""

    def close(self) -> None:
        """Let go of it."""


def of(log: Log, begins_before: Callable[[list[str]], bool]) -> Source:
    """Return the source of a log; `begins_before` is for `tail.Tail`. Raises OSError when there is no way to it."""
    return ssh_tail.Remote(log) if log.host else Tail(Path(log.path), begins_before)


def last_bytes(log: Log, count: int) -> bytes:
    """Return the last `count` bytes of a log. Raises OSError with the reason when it cannot be read."""
    if log.host:
        return ssh_tail.last_bytes(log, count, _END_WITHIN_S)
    with Path(log.path).open("rb") as file:
        file.seek(max(0, file.seek(0, 2) - count))
        return file.read()

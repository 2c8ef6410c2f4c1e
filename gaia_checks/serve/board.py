"""What the page shows: the rows of every environment, read in the background while somebody looks."""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from gaia_checks.environment.process_variables import without_secrets
from gaia_checks.printable import printable
from gaia_checks.promotion.environment_row import EnvironmentRow

EVERY_S = 5.0
"""Between two readings, however many look."""

_PATIENCE_S = 5.0  # a remote may be slow: then the reader gets what was read before, which says of when it is


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The rows of one reading."""

    rows: tuple[EnvironmentRow, ...] = ()
    at: datetime | None = None  # when they were read; None: nothing has been read yet
    fault: str | None = None  # why the reading after that failed


class Board:
    """The newest snapshot; for several threads."""

    def __init__(self, read: Callable[[], Sequence[EnvironmentRow]]) -> None:
        self._read = read
        self._changed = threading.Condition()
        self._newest = Snapshot()
        self._due_s = 0.0
        self._reading = False

    def newest(self) -> Snapshot:
        """Return a snapshot that is at most `EVERY_S` old; an older one where reading takes too long or fails."""
        with self._changed:
            if not self._reading and time.monotonic() >= self._due_s:
                self._reading = True
                threading.Thread(target=self._refresh, daemon=True).start()
            self._changed.wait_for(lambda: not self._reading, _PATIENCE_S)
            return self._newest

    def _refresh(self) -> None:
        try:
            found = Snapshot(tuple(self._read()), datetime.now(UTC))
        except Exception as error:  # noqa: BLE001 - whatever it is: the page says so, and the next reading may succeed
            found = replace(self._newest, fault=printable(without_secrets(f"{type(error).__name__}: {error}")))
        with self._changed:
            self._newest, self._reading, self._due_s = found, False, time.monotonic() + EVERY_S
            self._changed.notify_all()

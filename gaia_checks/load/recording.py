"""The files that the load leaves: a timeline, a histogram log, and at the very end a result."""

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gaia_checks import journal
from gaia_checks.load.histogram import Log

TIMELINE = Path("timelines") / "load.jsonl"
LATENCY_LOG = Path("latency.hlog")
RESULT = Path("load.json")
"""It exists only when every intended arrival has come to its end, or says under `broken` why none was sent.
Nothing else says that the load is complete."""


class Recording:
    """Writes as the load goes on, so that a kill loses a second at most."""

    def __init__(self, folder: Path) -> None:
        """Begin the files; what an earlier load left there is replaced."""
        self._folder = folder
        self._ended_s = 0.0
        (folder / TIMELINE).parent.mkdir(parents=True, exist_ok=True)
        (folder / TIMELINE).unlink(missing_ok=True)
        (folder / RESULT).unlink(missing_ok=True)
        self._log = Log(folder / LATENCY_LOG, time.time())

    def second(self, now_s: float, record: Mapping[str, Any], interval: Any) -> None:
        """Write one second. `now_s` is its end, in seconds since the start; `interval` a histogram."""
        journal.append(self._folder / TIMELINE, record)
        self._log.append(self._ended_s, now_s - self._ended_s, interval)
        self._ended_s = now_s

    def finish(self, result: Mapping[str, Any]) -> None:
        """Write the result: whole, or not at all."""
        draft = self._folder / f".{RESULT}"
        draft.write_text(json.dumps(result), encoding="utf-8")
        draft.rename(self._folder / RESULT)

"""The files that a load leaves: a timeline, histogram logs, and at the very end a result."""

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gaia_checks import jsonl
from gaia_checks.load.results.histogram import Log
from gaia_checks.load.results.per_second import Second

TIMELINE = Path("timelines") / "load.jsonl"
LATENCY_LOG = Path("latency.hlog")
ROUTES_LOG = Path("latency_by_route.hlog")
RESULT = Path("load.json")
"""It exists only when every intended arrival has come to its end, or says under `broken` why none was sent.
Nothing else says that the load is complete."""


def look_file(number: int) -> Path:
    """Return the name of the file with the result of a look, counted from 0, at a load that went on."""
    return RESULT.with_suffix(f".{number + 1}.json")


SO_FAR = RESULT.with_suffix(".so_far.json")
"""What is known while the load goes on. It is gone when the load has ended."""

SO_FAR_TAKEN = RESULT.with_suffix(".so_far.taken.json")
"""The same while it is read. Renamed, so that what is written meanwhile is not lost."""


class Recording:
    """Writes as the load goes on, so that a kill loses a second at most."""

    def __init__(self, folder: Path, looks: int = 0) -> None:
        """Begin the files; what an earlier load left there is replaced."""
        self._folder = folder
        (folder / TIMELINE).parent.mkdir(parents=True, exist_ok=True)
        (folder / TIMELINE).unlink(missing_ok=True)
        for path in (RESULT, SO_FAR, *map(look_file, range(looks))):
            (folder / path).unlink(missing_ok=True)
        started_s = time.time()
        self._all, self._by_route = Log(folder / LATENCY_LOG, started_s), Log(folder / ROUTES_LOG, started_s)

    def second(self, second: Second, record: Mapping[str, Any]) -> None:
        """Write one second and its record."""
        jsonl.append(self._folder / TIMELINE, record)
        start_s, length_s = second.start_s, second.end_s - second.start_s
        self._all.append(start_s, length_s, second.judged().latency)
        for label, route in sorted(second.routes.items()):
            self._by_route.append(start_s, length_s, route.latency, label.replace(" ", "_").replace(",", "_"))

    def look(self, number: int, result: Mapping[str, Any]) -> None:
        """Write the result of one look, while the load goes on."""
        self._write(look_file(number), result)

    def so_far(self, result: Mapping[str, Any]) -> None:
        """Write what is known by now."""
        self._write(SO_FAR, result)

    def finish(self, result: Mapping[str, Any]) -> None:
        """Write the result."""
        self._write(RESULT, result)
        (self._folder / SO_FAR).unlink(missing_ok=True)

    def _write(self, name: Path, result: Mapping[str, Any]) -> None:
        """Write a file whole, or not at all."""
        draft = self._folder / f".{name}"
        draft.write_text(json.dumps(result), encoding="utf-8")
        draft.rename(self._folder / name)

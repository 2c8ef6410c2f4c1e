"""The files of a load: a timeline, histogram logs, and at the end a result."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gaia_checks import files, jsonl
from gaia_checks.load.results.histogram import HistogramLog
from gaia_checks.load.results.per_second import Second

TIMELINE = Path("timelines") / "load.jsonl"
LATENCY_LOG = Path("latency.hlog")
ROUTES_LOG = Path("latency_by_route.hlog")
RESULT = Path("load.json")
"""Exists only after every intended arrival has finished, or states under `broken` why the load has no result.
Nothing else marks the load as complete."""


def look_file(number: int) -> Path:
    """Return the name of the file with the result of a look, counted from 0."""
    return RESULT.with_suffix(f".{number + 1}.json")


SO_FAR = RESULT.with_suffix(".so_far.json")
"""The interim result while the load continues. Removed when the load has finished."""

SO_FAR_TAKEN = RESULT.with_suffix(".so_far.taken.json")
"""The interim result while it is read. Renamed, so that a newer one is not lost."""


class Recording:
    """Writes during the load, so that a kill loses one second at most."""

    def __init__(self, folder: Path, looks: int = 0) -> None:
        """Create the files; those of an earlier load are replaced."""
        self._folder = folder
        (folder / TIMELINE).parent.mkdir(parents=True, exist_ok=True)
        (folder / TIMELINE).unlink(missing_ok=True)
        for path in (RESULT, SO_FAR, *map(look_file, range(looks))):
            (folder / path).unlink(missing_ok=True)
        started_s = time.time()
        self._all, self._by_route = (
            HistogramLog(folder / LATENCY_LOG, started_s),
            HistogramLog(folder / ROUTES_LOG, started_s),
        )

    def second(self, second: Second, record: Mapping[str, Any]) -> None:
        """Write one second and its record."""
        jsonl.append(self._folder / TIMELINE, record)
        start_s, length_s = second.start_s, second.end_s - second.start_s
        self._all.append(start_s, length_s, second.judged().latency)
        for label, route in sorted(second.routes.items()):
            self._by_route.append(start_s, length_s, route.latency, label.replace(" ", "_").replace(",", "_"))

    def look(self, number: int, result: Mapping[str, Any]) -> None:
        """Write the result of one look while the load continues."""
        self._write(look_file(number), result)

    def so_far(self, result: Mapping[str, Any]) -> None:
        """Write the interim result."""
        self._write(SO_FAR, result)

    def finish(self, result: Mapping[str, Any]) -> None:
        """Write the result."""
        self._write(RESULT, result)
        (self._folder / SO_FAR).unlink(missing_ok=True)

    def _write(self, name: Path, result: Mapping[str, Any]) -> None:
        files.replace_json(self._folder / name, result)

"""Append-only JSON lines that survive a kill: measurements, timelines, the deployment ledger.

A line is written by one `write` under the file's lock, so that several processes may write to the
same file. What a kill or a full disk leaves behind is at most one torn last line: `read` drops it,
and the next `append` removes it before it writes.
"""

import json
import os
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from gaia_checks import file_lock
from gaia_checks.errors import EvidenceError
from gaia_checks.model import timestamp


def now() -> str:
    """Return the wall clock as it stands in records: RFC 3339 UTC with milliseconds."""
    return timestamp(datetime.now(UTC))


def append(path: Path, record: Mapping[str, Any], *, durable: bool = False, mode: int = 0o644) -> None:
    """Append one record to `path`, created with `mode`; with `durable`, return only when it is on the disk."""
    _append(path, lambda _descriptor: record, durable=durable, mode=mode)


def append_after(path: Path, following: Callable[[str], Mapping[str, Any]], *, durable: bool = False) -> None:
    """Append the record that `following` makes of the last line, "" where there is none; nobody comes in between."""
    _append(path, lambda descriptor: following(_last_line(descriptor)), durable=durable, mode=0o600)


def text(record: Mapping[str, Any]) -> str:
    """Return a record as the line that is written."""
    return json.dumps(record, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def _append(path: Path, make: Callable[[int], Mapping[str, Any]], *, durable: bool, mode: int) -> None:
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, mode)
    try:
        file_lock.wait(descriptor)
        _remove_torn_line(descriptor)
        data = (text(make(descriptor)) + "\n").encode()
        if os.write(descriptor, data) != len(data):
            raise OSError(f"{path}: the line was written only in part; free some disk space")
        if durable:
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


class Reader:
    """Reads a journal that is being written: each time only what is new. Not for several threads at once."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0
        self._records: list[dict[str, Any]] = []

    def records(self) -> list[dict[str, Any]]:
        """Return all records so far, oldest first. Raises EvidenceError for a line that is no JSON object."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._offset)
                whole, _, _ = file.read().rpartition(b"\n")  # behind it stands a record that is not finished
        except FileNotFoundError:
            return []
        for line in whole.split(b"\n") if whole else ():
            self._records.append(_record(self._path, len(self._records) + 1, line.decode(errors="replace")))
        self._offset += len(whole) + 1 if whole else 0
        return self._records


def _remove_torn_line(descriptor: int) -> None:
    """Cut what stands behind the last line feed: a record that was never finished."""
    size = end = os.fstat(descriptor).st_size
    while end and os.pread(descriptor, 1, end - 1) != b"\n":
        end -= 1
    if end != size:
        os.ftruncate(descriptor, end)


def _last_line(descriptor: int) -> str:
    """Return the last line; every line is complete."""
    size = os.fstat(descriptor).st_size
    start = max(0, size - 1)
    while start and os.pread(descriptor, 1, start - 1) != b"\n":
        start -= 1
    return os.pread(descriptor, size - start, start).decode(errors="replace").rstrip("\n")


def read(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the records of `path`, oldest first; an absent file has none.

    Raises EvidenceError for a line that is no JSON object, unless it is the torn last one.
    """
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return
    *lines, torn = text.split("\n")
    for number, line in enumerate(lines, start=1):
        yield _record(path, number, line)
    del torn  # without its line feed a record was never finished


def _record(path: Path, number: int, line: str) -> dict[str, Any]:
    try:
        record = json.loads(line)
    except ValueError as error:
        raise EvidenceError(
            f"{path}:{number}: not a JSON line; the file was changed by hand or the disk is bad"
        ) from error
    if not isinstance(record, dict):
        raise EvidenceError(f"{path}:{number}: a JSON object was expected, found {type(record).__name__}")
    return record

"""The server's log, written by the servers themselves so that it outlives the supervisor, and kept from growing."""

import shutil
from pathlib import Path

LIMIT_BYTES = 50_000_000
KEPT = 5


def rotate(log: Path, *, limit_bytes: int = LIMIT_BYTES) -> bool:
    """Move the content of `log` to `<log>.1` when it is above the limit; return whether it was.

    The servers keep their descriptor (opened for appending), so the file is copied and emptied: a reader
    whose offset is beyond the end finds the rest of what it missed at the same offset in `<log>.1`.
    """
    try:
        if log.stat().st_size <= limit_bytes:
            return False
    except FileNotFoundError:
        return False
    for number in range(KEPT - 1, 0, -1):
        older = log.with_name(f"{log.name}.{number}")
        if older.exists():
            older.replace(log.with_name(f"{log.name}.{number + 1}"))
    with log.open("r+b") as source, log.with_name(f"{log.name}.1").open("wb") as copy:
        shutil.copyfileobj(source, copy)
        while rest := source.read():  # what was written while we copied
            copy.write(rest)
        source.truncate(0)
    return True


def last_line(log: Path, offset: int = 0) -> str:
    """Return the last line written at or behind `offset`, empty when there is none."""
    try:
        with log.open("rb") as file:
            end = file.seek(0, 2)
            file.seek(max(offset, end - 8192))
            lines = file.read().decode(errors="replace").split("\n")
    except FileNotFoundError:
        return ""
    return next((line.strip() for line in reversed(lines) if line.strip()), "")

"""Rotation of the server's log, which the servers write themselves so that it outlives the supervisor."""

import shutil
from pathlib import Path

LIMIT_BYTES = 50_000_000
KEPT = 5


def rotate(log: Path, *, limit_bytes: int = LIMIT_BYTES) -> bool:
    """Move the content of `log` to `<log>.1` when it exceeds the limit; return whether it did.

    The servers keep their descriptor (opened for appending), so the file is copied and truncated: a reader
    whose offset is beyond the end continues at the same offset in `<log>.1`.
    """
    try:
        if log.stat().st_size <= limit_bytes:
            return False
    except FileNotFoundError:
        return False
    new = log.with_name(f".{log.name}.1")
    try:
        with log.open("r+b") as source, new.open("wb") as copy:
            shutil.copyfileobj(source, copy)
            copy.flush()  # a full disk fails here, before older files are renamed or dropped
            _move_up(log)
            new.replace(log.with_name(f"{log.name}.1"))
            while rest := source.read():  # written meanwhile
                copy.write(rest)
            source.truncate(0)
    finally:
        new.unlink(missing_ok=True)
    return True


def _move_up(log: Path) -> None:
    for number in range(KEPT - 1, 0, -1):
        older = log.with_name(f"{log.name}.{number}")
        if older.exists():
            older.replace(log.with_name(f"{log.name}.{number + 1}"))


def last_line(log: Path, offset: int = 0) -> str:
    """Return the last non-empty line at or after `offset`, empty without one."""
    try:
        with log.open("rb") as file:
            end = file.seek(0, 2)
            file.seek(max(offset, end - 8192))
            lines = file.read().decode(errors="replace").split("\n")
    except FileNotFoundError:
        return ""
    return next((line.strip() for line in reversed(lines) if line.strip()), "")

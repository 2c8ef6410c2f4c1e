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
    draft = log.with_name(f".{log.name}.1")
    try:
        with log.open("r+b") as source, draft.open("wb") as copy:
            shutil.copyfileobj(source, copy)
            copy.flush()  # a full disk is met here, before anything older moves up and out
            _move_up(log)
            draft.replace(log.with_name(f"{log.name}.1"))
            while rest := source.read():  # what was written while we copied
                copy.write(rest)
            source.truncate(0)
    finally:
        draft.unlink(missing_ok=True)
    return True


def _move_up(log: Path) -> None:
    for number in range(KEPT - 1, 0, -1):
        older = log.with_name(f"{log.name}.{number}")
        if older.exists():
            older.replace(log.with_name(f"{log.name}.{number + 1}"))


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

"""Follows a log from its start across rotation, by renaming as well as by copy and truncate.

`server.log` is the newest part, `server.log.1` the one before it, and so on. A part is recognised by its
first bytes, whatever its name is now.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

_CHUNK = 64 * 1024
_HEAD = 256
_LONGEST_LINE = 1024 * 1024


class Pieces:
    """Splits chunks of bytes into lines."""

    def __init__(self) -> None:
        self._rest = b""

    def take(self, piece: bytes) -> list[str]:
        """Return the finished lines, without empty ones."""
        *whole, self._rest = (self._rest + piece).split(b"\n")
        if len(self._rest) > _LONGEST_LINE:
            whole, self._rest = [*whole, self._rest], b""
        return [line.decode(errors="replace") for line in whole if line.strip()]

    def last(self) -> list[str]:
        """Return the unfinished last line."""
        rest, self._rest = self._rest, b""
        return [rest.decode(errors="replace")] if rest else []


class Tail:
    """A log file on this machine that is still being written."""

    up_to_now = True
    """Whether all existing lines have been read, once `lines` was called."""

    def __init__(self, log: Path, begins_before: Callable[[list[str]], bool]) -> None:
        """Start with the newest part whose first lines predate the process, or with the oldest part.

        `begins_before` decides that from a part's first lines.
        """
        self.lost: str | None = None  # why some lines are missing
        self._log = log
        self._begins_before = begins_before
        self._head: bytes | None = None  # of the part that was read last; None before the first
        self._offset = 0
        self._pieces = Pieces()

    def lines(self) -> Iterator[list[str]]:
        """Yield the lines since the last call, some at a time. Raises OSError."""
        try:
            newest = self._log.open("rb")
        except FileNotFoundError:  # not there yet, or between the two steps of a rotation
            return
        with newest:
            for part, offset in self._missed(newest):
                with part.open("rb") as file:
                    yield from self._read(file, offset)
            yield from self._read(newest, self._offset)
            self._offset = newest.tell()
            self._head = _head(newest, self._offset)

    def last(self) -> list[str]:
        """Return the unfinished last line."""
        return self._pieces.last()

    def close(self) -> None:
        """Do nothing: no file is open between two calls."""

    def _missed(self, newest: BinaryIO) -> list[tuple[Path, int]]:
        """Return the older parts to read first, oldest first, with their offsets."""
        if self._head is None:
            return [(part, 0) for part in reversed(self._further_back())]
        if newest.seek(0, 2) >= self._offset and _head(newest, len(self._head)) == self._head:
            return []
        head, offset = self._head, self._offset
        self._offset = 0
        missed: list[tuple[Path, int]] = []
        for part in self._parts():
            if _head_of(part, len(head)) == head:
                return [(part, offset), *reversed(missed)]
            missed.append((part, 0))
        self.lost = "the log was truncated, or rotated away, while it was read"
        return []

    def _further_back(self) -> list[Path]:
        """Return the parts behind the newest that are needed, newest first."""
        needed: list[Path] = []
        newest = self._log
        for part in self._parts():
            if self._begins_before(_head_of(newest, _CHUNK).decode(errors="replace").split("\n")):
                break
            needed.append(newest := part)
        return needed

    def _parts(self) -> Iterator[Path]:
        number = 1
        while (part := self._log.with_name(f"{self._log.name}.{number}")).exists():
            yield part
            number += 1

    def _read(self, file: BinaryIO, offset: int) -> Iterator[list[str]]:
        file.seek(offset)
        while chunk := file.read(_CHUNK):
            yield self._pieces.take(chunk)


def _head(file: BinaryIO, size: int) -> bytes:
    file.seek(0)
    return file.read(min(size, _HEAD))


def _head_of(part: Path, size: int) -> bytes:
    with part.open("rb") as file:
        return file.read(size)

"""The stream that a gate writes to: no character and no closed pipe can stop a gate."""

import contextlib
import io
import os
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


class _Unstoppable(io.FileIO):
    """A file that drops what cannot be written: the reader has gone (`| head -1`), or the disk is full."""

    def write(self, data: "ReadableBuffer", /) -> int:
        with contextlib.suppress(OSError):
            return super().write(data) or 0
        return memoryview(data).nbytes


def duplicate(original: TextIO) -> TextIO:
    """Return a stream to the same file as `original`, which pytest may capture meanwhile.

    Characters that its encoding lacks are written as escapes.
    """
    raw = _Unstoppable(os.dup(original.fileno()), "w")
    return io.TextIOWrapper(
        io.BufferedWriter(raw), encoding=original.encoding, errors="backslashreplace", line_buffering=True
    )

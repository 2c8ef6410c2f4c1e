"""The stream that a gate writes to: no character and no closed pipe can stop a gate."""

import contextlib
import io
import os
from typing import IO, TYPE_CHECKING, TextIO

from rich.console import Console

from gaia_checks.printable import ASCII

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


_WIDTH = 140  # of the table without a terminal


class _Unstoppable(io.FileIO):
    """A file that drops what cannot be written: the reader has gone (`| head -1`), or the disk is full."""

    def write(self, data: "ReadableBuffer", /) -> int:
        with contextlib.suppress(OSError):
            return super().write(data) or 0
        return memoryview(data).nbytes


def duplicate(original: TextIO) -> TextIO:
    """Return a stream to the same file as `original`, which pytest may capture meanwhile.

    Characters that its encoding lacks are written in ASCII.
    """
    raw = _Unstoppable(os.dup(original.fileno()), "w")
    return io.TextIOWrapper(io.BufferedWriter(raw), encoding=original.encoding, errors=ASCII, line_buffering=True)


def console(file: IO[str]) -> Console:
    """Return a console as wide as the terminal, or wide enough for the table without one: then without colours."""
    terminal = file.isatty()
    return Console(
        file=file,
        width=None if terminal else _WIDTH,
        highlight=False,
        soft_wrap=not terminal,
        force_terminal=terminal,  # whatever FORCE_COLOR says
    )

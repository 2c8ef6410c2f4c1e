"""Follows a log on another machine from its start, through the system's ssh.

Keys, agents and jump hosts are configured in the user's ~/.ssh/config; the options here contain no secret. The
remote command ends when our end of its standard input closes: it leaves nothing behind, however this process ends.
"""

import os
import shlex
import shutil
import subprocess
import time
from collections.abc import Iterator
from typing import IO, cast

from gaia_checks.model import LogLocation
from gaia_checks.recorders.log.tail import Pieces

_CONNECT_S = 10
_ALIVE_S = 15  # a dead connection is detected after three times as long
_READ_WITHIN_S = 60.0  # existing lines are read by then; otherwise the recorder reports that they were not
_GRACE_S = 1.0
_BLOCK = 64 * 1024
_BLOCKS = 64  # at most this many at once, so that other recorders run
_LONGEST_ERROR = 200

_FOLLOW = "wc -c < {file} || exit; tail -n +1 -F -- {file} & cat > /dev/null; kill $!"
"""Write the log's size, then the log and what is appended, until standard input ends."""

_END = "tail -c {count} -- {file}"


def follow(log: LogLocation) -> tuple[str, ...]:
    """Return the command line that writes the size of a log in bytes, then the log, to standard output. Pure."""
    return _ssh(log, _FOLLOW.format(file=shlex.quote(log.path)))


def end(log: LogLocation, count: int) -> tuple[str, ...]:
    """Return the command line that writes the last `count` bytes of a log to standard output. Pure."""
    return _ssh(log, _END.format(file=shlex.quote(log.path), count=count))


def last_bytes(log: LogLocation, count: int, within_s: float) -> bytes:
    """Return the last `count` bytes of a log. Raises OSError with the reason when they do not come in time."""
    try:
        done = subprocess.run(
            end(log, count), stdin=subprocess.DEVNULL, capture_output=True, timeout=within_s, check=False
        )
    except subprocess.TimeoutExpired:
        raise TimeoutError(f"ssh did not finish within {within_s:g} s") from None
    if done.returncode:
        raise ConnectionError(_first_line(done.stderr) or f"ssh exited with {done.returncode}")
    return done.stdout


class SshTail:
    """A log on another machine that is still being written, as `tail.Tail` is one on this."""

    def __init__(self, log: LogLocation) -> None:
        """Start to read. Raises OSError when ssh is not installed."""
        if shutil.which("ssh") is None:
            raise FileNotFoundError("ssh is not installed; run `apt-get install -y openssh-client`")
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(follow(log), stdin=pipe, stdout=pipe, stderr=pipe, bufsize=0)
        self._output, self._errors = (_non_blocking(stream) for stream in (self._process.stdout, self._process.stderr))
        self.lost: str | None = None  # why some lines are missing
        self._pieces = Pieces()
        self._began_s = time.monotonic()
        self._bytes = 0  # received
        self._now_at: int | None = None  # received bytes once all existing lines are read; None: unknown yet

    @property
    def up_to_now(self) -> bool:
        """Whether all lines that existed at the start have been read."""
        return self._now_at is not None and self._bytes >= self._now_at

    def lines(self) -> Iterator[list[str]]:
        """Yield the lines since the last call, some at a time."""
        for _ in range(_BLOCKS):
            block = self._output.read(_BLOCK)
            if not block:
                break
            yield self._take(block)
        self.lost = self.lost or self._error()

    def last(self) -> list[str]:
        """Return the unfinished last line."""
        return self._pieces.last()

    def close(self) -> None:
        """Stop ssh and the remote command."""
        with self._process as process:
            cast("IO[bytes]", process.stdin).close()  # the remote command ends, then ssh
            try:
                process.wait(_GRACE_S)
            except subprocess.TimeoutExpired:
                process.kill()

    def _take(self, block: bytes) -> list[str]:
        self._bytes += len(block)
        lines = self._pieces.take(block)
        if self._now_at is None and lines:
            size, *lines = lines
            if not size.strip().isdecimal():
                self.lost = f"the remote shell printed {size[:_LONGEST_ERROR]!r} before the log"
                return []
            self._now_at = int(size) + len(size) + 1
        return lines

    def _error(self) -> str | None:
        """Return why lines may be missing: an error of ssh or tail, an early end, too long a wait."""
        if error := _first_line(self._errors.read(_BLOCK) or b""):
            return error
        if (code := self._process.poll()) is not None:
            return f"ssh exited with {code}"
        late = not self.up_to_now and time.monotonic() > self._began_s + _READ_WITHIN_S
        return f"the log was not read up to now within {_READ_WITHIN_S:g} s" if late else None


def _ssh(log: LogLocation, script: str) -> tuple[str, ...]:
    """Return ssh's command line. `script` is for a POSIX shell; the remote user's own shell need not be one."""
    port = ("-p", str(log.port)) if log.port else ()
    return (
        *("ssh", "-T", "-o", "BatchMode=yes", "-o", "LogLevel=ERROR", "-o", f"ConnectTimeout={_CONNECT_S}"),
        *("-o", f"ServerAliveInterval={_ALIVE_S}", *port, "--", log.host or "", f"exec sh -c {shlex.quote(script)}"),
    )


def _non_blocking(stream: "IO[bytes] | None") -> IO[bytes]:
    """Return a non-blocking pipe: it returns available data, or nothing."""
    found = cast("IO[bytes]", stream)
    os.set_blocking(found.fileno(), False)
    return found


def _first_line(text: bytes) -> str:
    return text.decode(errors="replace").strip().split("\n", 1)[0].strip()[:_LONGEST_ERROR]

"""A log on another machine, read through the system's own ssh: from its beginning on, and as it grows.

Keys, agents and jump hosts are ssh's business and stand in the user's ~/.ssh/config; no option of ours could hold a
secret. What runs over there ends when our end of its standard input closes: nothing stays behind, however we end.
"""

import os
import shlex
import shutil
import subprocess
import time
from collections.abc import Iterator
from typing import IO, cast

from gaia_checks.model import Log
from gaia_checks.recorders.log.tail import Pieces

_CONNECT_S = 10
_ALIVE_S = 15  # a connection that is silently gone is noticed after three times as long
_READ_WITHIN_S = 60.0  # what is there already is read by then, or it is said that it was not
_GRACE_S = 1.0
_BLOCK = 64 * 1024
_BLOCKS = 64  # so many at once at most: others have their turn
_LONGEST_COMPLAINT = 200

_FOLLOW = "wc -c < {file} || exit; tail -n +1 -F -- {file} & cat > /dev/null; kill $!"
"""Say how much is there, then all of it and what comes, until standard input ends."""

_END = "tail -c {count} -- {file}"


def follow(log: Log) -> tuple[str, ...]:
    """Return the command line that writes the size of a log in bytes, then the log, to standard output. Pure."""
    return _ssh(log, _FOLLOW.format(file=shlex.quote(log.path)))


def end(log: Log, count: int) -> tuple[str, ...]:
    """Return the command line that writes the last `count` bytes of a log to standard output. Pure."""
    return _ssh(log, _END.format(file=shlex.quote(log.path), count=count))


def last_bytes(log: Log, count: int, within_s: float) -> bytes:
    """Return the last `count` bytes of a log. Raises OSError with the reason when they do not come in time."""
    try:
        done = subprocess.run(
            end(log, count), stdin=subprocess.DEVNULL, capture_output=True, timeout=within_s, check=False
        )
    except subprocess.TimeoutExpired:
        raise TimeoutError(f"ssh did not end within {within_s:g} s") from None
    if done.returncode:
        raise ConnectionError(_first_line(done.stderr) or f"ssh ended with {done.returncode}")
    return done.stdout


class Remote:
    """A log that is being written on another machine, as `tail.Tail` is one on this."""

    def __init__(self, log: Log) -> None:
        """Begin to read. Raises OSError when there is no ssh."""
        if shutil.which("ssh") is None:
            raise FileNotFoundError("ssh is not installed; run `apt-get install -y openssh-client`")
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(follow(log), stdin=pipe, stdout=pipe, stderr=pipe, bufsize=0)
        self._said, self._complained = (
            _without_waiting(stream) for stream in (self._process.stdout, self._process.stderr)
        )
        self.lost: str | None = None  # why some lines were not seen
        self._pieces = Pieces()
        self._began_s = time.monotonic()
        self._bytes = 0  # that came
        self._now_at: int | None = None  # so many came when all was read that was there at first; None: not known yet

    @property
    def up_to_now(self) -> bool:
        """Whether all that was there when we came has been read."""
        return self._now_at is not None and self._bytes >= self._now_at

    def lines(self) -> Iterator[list[str]]:
        """Yield what came since the last call, some lines at a time."""
        for _ in range(_BLOCKS):
            block = self._said.read(_BLOCK)
            if not block:
                break
            yield self._take(block)
        self.lost = self.lost or self._complaint()

    def last(self) -> list[str]:
        """Return the line that has no end yet."""
        return self._pieces.last()

    def close(self) -> None:
        """End ssh, and what runs over there."""
        with self._process as process:
            cast("IO[bytes]", process.stdin).close()  # what runs over there ends, and then ssh
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
                self.lost = f"something over there says {size[:_LONGEST_COMPLAINT]!r} before any command does"
                return []
            self._now_at = int(size) + len(size) + 1
        return lines

    def _complaint(self) -> str | None:
        """Return why what came may not be all: whatever ssh or tail complain of, an early end, too long a wait."""
        if said := _first_line(self._complained.read(_BLOCK) or b""):
            return said
        if (code := self._process.poll()) is not None:
            return f"ssh ended with {code}"
        late = not self.up_to_now and time.monotonic() > self._began_s + _READ_WITHIN_S
        return f"it was not read up to now within {_READ_WITHIN_S:g} s" if late else None


def _ssh(log: Log, script: str) -> tuple[str, ...]:
    """Return ssh's command line. `script` is for a POSIX shell; the user's own over there need not be one."""
    port = ("-p", str(log.port)) if log.port else ()
    return (
        *("ssh", "-T", "-o", "BatchMode=yes", "-o", "LogLevel=ERROR", "-o", f"ConnectTimeout={_CONNECT_S}"),
        *("-o", f"ServerAliveInterval={_ALIVE_S}", *port, "--", log.host or "", f"exec sh -c {shlex.quote(script)}"),
    )


def _without_waiting(stream: "IO[bytes] | None") -> IO[bytes]:
    """Return a pipe that gives what is there, and nothing when nothing is."""
    found = cast("IO[bytes]", stream)
    os.set_blocking(found.fileno(), False)
    return found


def _first_line(text: bytes) -> str:
    return text.decode(errors="replace").strip().split("\n", 1)[0].strip()[:_LONGEST_COMPLAINT]

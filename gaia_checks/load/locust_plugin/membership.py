"""Who joins a distributed load, and how its clock differs from the master's. Pure, but for `own`.

Locust's protocol authenticates nobody. What is compared here protects against slips, such as an old installation on one
of ten machines, and not against an attacker: the port belongs into a private network.
"""

import contextlib
import hashlib
import os
import socket
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, NamedTuple, Self

from gaia_checks import __version__

_SHOWN = 12  # digits of a digest
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")  # Linux has it


@dataclass(frozen=True, slots=True)
class LoadProcess:
    """One process of a distributed load: a worker, or the master."""

    host: str
    pid: int
    version: str  # of gaia-checks
    locustfile: str  # its name
    sha256: str  # of its text
    machine: str  # which one it runs on: host names repeat
    adapter: str = ""  # the sha256 of its adapter's text; empty without one

    @property
    def name(self) -> str:
        """How messages and reports call it."""
        return f"{self.host} (pid {self.pid})"

    def why_refused(self, master: "LoadProcess") -> str | None:
        """Return why this worker may not send a part of the master's load; None if it may."""
        if self.version != master.version:
            return f"it has gaia-checks {self.version}, and the master {master.version}; install that there"
        if self.sha256 != master.sha256:
            return (
                f"its mix is {self.locustfile} ({self.sha256[:_SHOWN]}), and the master's {master.locustfile} "
                f"({master.sha256[:_SHOWN]}); start it with --locustfile and the master's file"
            )
        return self._why_not_adapter(master)

    def _why_not_adapter(self, master: "LoadProcess") -> str | None:
        if self.adapter == master.adapter:
            return None
        its, masters = (f"adapter {each.adapter[:_SHOWN]}" if each.adapter else "no adapter" for each in (self, master))
        how = "with --adapter and the gate's file" if master.adapter else "without --adapter"
        return f"it has {its}, and the master {masters}; start it {how}"

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON."""
        return asdict(self)

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> Self:
        """Read what `to_json` wrote, also of another version, which is then refused by its name."""
        return cls(**{each.name: document.get(each.name, "") for each in fields(cls)})


def own(locustfiles: Sequence[str], adapter: str = "") -> LoadProcess:
    """Return this process, which has read these locustfiles, and an adapter with this text."""
    paths = [Path(file) for file in locustfiles]
    digest = hashlib.sha256(b"\0".join(path.read_bytes() for path in paths)).hexdigest()
    return LoadProcess(
        host=socket.gethostname(),
        pid=os.getpid(),
        version=__version__,
        locustfile=", ".join(path.name for path in paths),
        sha256=digest,
        machine=this_machine(),
        adapter=hashlib.sha256(adapter.encode()).hexdigest() if adapter else "",
    )


def this_machine() -> str:
    """Return what no other running machine has: the system's boot id, which containers share; else the host's name."""
    with contextlib.suppress(OSError):
        return _BOOT_ID.read_text(encoding="ascii").strip()
    return socket.gethostname()


class ClockReading(NamedTuple):
    """The times of one question to the master, in seconds."""

    sent_s: float  # on this process's monotonic clock
    received_s: float
    wall_s: float  # this machine's wall clock, when the answer came
    master_s: float  # on the master's monotonic clock, when it answered
    master_wall_s: float


@dataclass(frozen=True, slots=True)
class ClockDifference:
    """The difference between the clocks of a worker and its master."""

    to_master_s: float  # added to this process's monotonic clock, it gives the master's
    wall_ahead_s: float  # of this machine's wall clock, compared with the master's
    uncertain_s: float  # half of the round trip


def difference(exchanges: Sequence[ClockReading]) -> ClockDifference:
    """Return the difference by the quickest exchange (Mills, RFC 5905, section 8: the offset, and its error bound)."""
    best = min(exchanges, key=lambda each: each.received_s - each.sent_s)
    half_s = (best.received_s - best.sent_s) / 2
    return ClockDifference(best.master_s + half_s - best.received_s, best.wall_s - half_s - best.master_wall_s, half_s)

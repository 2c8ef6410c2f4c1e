"""Who joins a distributed load, and how its clock differs from the master's. Pure, but for `own`.

Locust's protocol authenticates nobody. What is compared here protects against slips, such as an old installation on one
of ten machines, and not against an attacker: the port belongs into a private network.
"""

import hashlib
import os
import socket
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple, Self

from gaia_checks import __version__

_SHOWN = 12  # digits of a digest


@dataclass(frozen=True, slots=True)
class Member:
    """One process of a distributed load."""

    host: str
    pid: int
    version: str  # of gaia-checks
    locustfile: str  # its name
    sha256: str  # of its text

    @property
    def name(self) -> str:
        """How messages and reports call it."""
        return f"{self.host} (pid {self.pid})"

    def why_refused(self, master: "Member") -> str | None:
        """Return why this worker may not send a part of the master's load; None if it may."""
        if self.version != master.version:
            return f"it has gaia-checks {self.version}, and the master {master.version}; install that there"
        if self.sha256 != master.sha256:
            return (
                f"its mix is {self.locustfile} ({self.sha256[:_SHOWN]}), and the master's {master.locustfile} "
                f"({master.sha256[:_SHOWN]}); start it with --locustfile and the master's file"
            )
        return None

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON."""
        return asdict(self)

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> Self:
        """Read what `to_json` wrote. Raises TypeError for anything else."""
        return cls(**document)


def own(locustfiles: Sequence[str]) -> Member:
    """Return this process, which has read these locustfiles."""
    paths = [Path(file) for file in locustfiles]
    digest = hashlib.sha256(b"\0".join(path.read_bytes() for path in paths)).hexdigest()
    return Member(socket.gethostname(), os.getpid(), __version__, ", ".join(path.name for path in paths), digest)


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

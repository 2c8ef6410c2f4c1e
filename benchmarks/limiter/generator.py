"""The load generator: compiles and runs load.c. One thread, to leave the machine's cores to the server."""

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

SOURCE = Path(__file__).with_name("load.c")


@dataclass(frozen=True, slots=True)
class Offered:
    """The result of one run of the generator."""

    requests: int
    seconds: float
    lost: int  # connections closed before the response
    unanswered: int  # open loop: not sent, or not answered within 10 s after the end
    statuses: Mapping[str, int]
    p50_ms: float  # open loop: from when a request was due; closed: from when it was sent
    p99_ms: float
    p999_ms: float
    max_ms: float
    late_p99_ms: float  # open loop: from when a request was due until a connection was free and it was sent
    cpu_share: float  # of one core, by the generator itself

    @property
    def per_s(self) -> float:
        """Responses per second."""
        return self.requests / self.seconds

    def expect_only(self, *statuses: str) -> "Offered":
        """Return the result if every response has one of these statuses; else exit, as the figures are meaningless."""
        if self.lost or self.unanswered or set(self.statuses) - set(statuses):
            raise SystemExit(f"not every answer was {' or '.join(statuses)}: {self}")
        return self


@dataclass(frozen=True, slots=True)
class Generator:
    """The compiled program."""

    program: Path

    def offer(
        self,
        port: int,
        path: str,
        *,
        connections: int = 64,
        keys: int = 1,
        first: int = 0,
        warm_s: float = 1.0,
        seconds: float,
        rate_per_s: float = 0,
    ) -> Offered:
        """Send load for `seconds`, after a warm-up of `warm_s`; without a rate, as fast as responses arrive.

        Requests cycle through the users, starting with number `first`.
        """
        words = (port, path, connections, keys, first, warm_s, seconds, rate_per_s)
        done = subprocess.run(
            (str(self.program), *map(str, words)), stdout=subprocess.PIPE, timeout=warm_s + seconds + 120, check=True
        )
        return Offered(**json.loads(done.stdout))


def compiled(folder: Path) -> Generator:
    """Compile the generator into `folder`."""
    compiler = os.environ.get("CC") or shutil.which("cc")
    if compiler is None:
        raise SystemExit(
            "the load generator is written in C: install a compiler; on Debian: apt-get install gcc libc6-dev"
        )
    program = folder / "load"
    subprocess.run((compiler, "-O2", "-std=gnu11", "-o", str(program), str(SOURCE)), check=True)
    return Generator(program)

"""The load generator: load.c, compiled here. One thread, because the machine's cores are the server's."""

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
    """What a run of the generator saw."""

    requests: int
    seconds: float
    lost: int  # connections closed while an answer was due
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
        """Answers per second."""
        return self.requests / self.seconds

    def expect_only(self, *statuses: str) -> "Offered":
        """Return it if every request was answered so; else what was measured is something else, and all ends."""
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
        """Offer load for `seconds`, after `warm_s` that do not count; without a rate as fast as the answers come.

        Users come in turn, beginning with number `first`.
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

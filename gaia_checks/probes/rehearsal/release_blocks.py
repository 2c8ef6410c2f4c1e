"""The same requests to two releases in turns, and what each block of them took."""

import itertools
import math
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx
import psutil

from gaia_checks.errors import Inconclusive, TargetUnreachable
from gaia_checks.model import Target
from gaia_checks.probes.rehearsal.counted_rules import Counting
from gaia_checks.target.client import client
from gaia_checks.target.responses import CONFIG, QUOTAS

PAIRS = 100
"""In a block: as few as have a p99."""

_PATHS = (
    f"{QUOTAS}/usage?limit=20",
    f"{CONFIG}?limit=20",
    f"{QUOTAS}/violations?limit=20",
    f"{QUOTAS}/usage?limit=20",
    "/health",
    f"{CONFIG}?limit=20",
    f"{QUOTAS}/analytics",
    f"{QUOTAS}/violations?limit=20",
    f"{QUOTAS}/usage?limit=20",
    f"{QUOTAS}/usage?limit=20",
)
"""What the load reads, in about its shares."""

_WARM_UP = 20  # pairs before the first block; if a release fails most of them, there is nothing to compare
_LONGEST_S = 60.0  # of all blocks, on a slow machine

Pids = Callable[[], Sequence[Sequence[int]]]
"""Return the processes of each release."""


@dataclass
class Sent:
    """What one release answered in one block."""

    took_ms: list[float] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    cpu_s: float = 0.0

    def percentile_ms(self, percentile: float) -> float:
        """Return a percentile of the latencies."""
        return sorted(self.took_ms)[math.ceil(len(self.took_ms) * percentile / 100) - 1]

    @property
    def fails(self) -> bool:
        """Whether most requests failed: errors are fast, so their latencies are compared with nothing."""
        return len(self.wrong) * 2 > len(self.took_ms)


Block = tuple[Sent, Sent]
"""The previous and the new release."""


def send(targets: Sequence[Target], pids: Pids, pairs: int, seed: int, over: Callable[[], bool]) -> list[Block]:
    """Send whole blocks of pairs, one request at a time; return them, or the warm-up alone if a release fails it.

    In each pair, chance decides which release comes first. Raises Inconclusive when the gate is over.
    """
    order, paths = random.Random(seed), itertools.cycle(_PATHS)  # noqa: S311 - no secret
    with client(targets[0]) as previous, client(targets[1]) as new:
        for http, target in zip((previous, new), targets, strict=True):
            _own_rule(http, target)
        warm_up = _block((previous, new), paths, order, _WARM_UP)
        if any(sent.fails for sent in warm_up):
            return [warm_up]
        blocks, started = list[Block](), time.monotonic()
        while len(blocks) < pairs // PAIRS and time.monotonic() - started < _LONGEST_S:
            if over():
                raise Inconclusive("the gate was stopped before the comparison finished")
            before = _cpu_s(pids())
            block = _block((previous, new), paths, order, PAIRS)
            for sent, used_s in zip(block, _used_s(before, _cpu_s(pids())), strict=True):
                sent.cpu_s = used_s
            blocks.append(block)
    return blocks


def _own_rule(http: httpx.Client, target: Target) -> None:
    """Create a rule that counts our requests and refuses none; one that cannot be created shows in the answers."""
    try:
        Counting(http, target).known()
    except (TargetUnreachable, httpx.HTTPError):
        return


def _block(clients: Sequence[httpx.Client], paths: Any, order: random.Random, pairs: int) -> Block:
    block = (Sent(), Sent())
    for _, path in zip(range(pairs), paths, strict=False):
        for number in order.sample((0, 1), 2):
            _request(clients[number], path, block[number])
    return block


def _request(http: httpx.Client, path: str, sent: Sent) -> None:
    started = time.perf_counter()
    try:
        status = http.get(path).status_code
        wrong = "" if status < 400 else f"status {status}"
    except httpx.HTTPError as error:
        wrong = f"no answer ({type(error).__name__})"
    sent.took_ms.append((time.perf_counter() - started) * 1000)
    if wrong:
        sent.wrong.append(f"GET {path}: {wrong}")


def _cpu_s(pids: Sequence[Sequence[int]]) -> list[dict[int, float]]:
    """Return pid -> CPU seconds used so far, for each release."""
    return [{pid: used_s for pid in each if (used_s := _of_process(pid)) is not None} for each in pids]


def _of_process(pid: int) -> float | None:
    try:
        times = psutil.Process(pid).cpu_times()
    except psutil.Error:
        return None
    return times.user + times.system


def _used_s(before: Sequence[dict[int, float]], after: Sequence[dict[int, float]]) -> list[float]:
    """Return the CPU seconds between two readings; those of a process that exited meanwhile are lost."""
    return [
        sum(used_s - old.get(pid, 0.0) for pid, used_s in new.items()) for old, new in zip(before, after, strict=True)
    ]

"""How much memory a server keeps of each request, and of each change of its rules.

The server is warm and nobody else uses it: what its processes have more after thousands of equal requests than after
the thousands before, they have kept. The median of three growths counts: a runtime may grow or shrink once by itself.
"""

import asyncio
import contextlib
import itertools
import statistics
import threading
from collections.abc import Iterator

import psutil

from gaia_checks.errors import Inconclusive
from gaia_checks.model import Measurement, Target
from gaia_checks.probes.rehearsal import passing_clients
from gaia_checks.probes.rehearsal.copy_protocol import OwnServerProtocol
from gaia_checks.probes.rehearsal.counted_rules import Counting, counting
from gaia_checks.target.responses import QUOTAS
from gaia_checks.target.samples import Watch

UNITS = {"memory.kept_per_request": "bytes", "memory.kept_per_change": "bytes"}

_REQUESTS = 5_000  # in each round
_RULES = 250  # the more, the larger is a list of them that is kept
_CHANGES = 40  # in each round
_ROUNDS = 4  # of which the first warms the server


def measured(server: OwnServerProtocol, over: threading.Event) -> Iterator[Measurement]:
    """Yield `memory.kept_per_request` and `memory.kept_per_change`. Raises GaiaError."""
    process, target = psutil.Process(server.process.pid), server.target
    with counting(target) as counts:
        counts.known()
        yield _per_request(process, target, over)
        yield _per_change(process, counts, over)


def _per_request(process: psutil.Process, target: Target, over: threading.Event) -> Measurement:
    watch, sizes = Watch(), list[int]()
    for _ in range(_ROUNDS):
        answered = asyncio.run(passing_clients.repeat(target, f"{QUOTAS}/gaia-memory", _REQUESTS, over))
        if answered < _REQUESTS:
            raise Inconclusive(f"{answered} of {_REQUESTS} requests were answered (prod.success_rate judges answers)")
        sizes.append(_private_bytes(process))
    return _measurement(watch, "request", sizes, _REQUESTS, f"requests for a path that does not exist, {_REQUESTS:,}")


def _per_change(process: psutil.Process, counts: Counting, over: threading.Event) -> Measurement:
    watch, sizes = Watch(), list[int]()
    rules = [counts.rule(f"upkeep-{number}", "requests_per_hour", 1) for number in _until_over(_RULES, over)]
    for number in range(_ROUNDS):
        for at in _until_over(_CHANGES, over):
            counts.limited(rules[at], number + 2)
        sizes.append(_private_bytes(process))
    return _measurement(watch, "change", sizes, _CHANGES, f"changes of one of {_RULES} rules, {_CHANGES}")


def _measurement(watch: Watch, what: str, sizes: list[int], number: int, how: str) -> Measurement:
    growths = [later - earlier for earlier, later in itertools.pairwise(sizes)]
    kept = max(0.0, statistics.median(growths) / number)
    note = " -> ".join(f"{size / 1e6:.2f}" for size in sizes)
    how = f"private memory of the server's processes by {how} in each of {_ROUNDS} rounds, the median growth"
    return watch.measurement(f"memory.kept_per_{what}", round(kept, 1), "bytes", number, how, (f"{note} MB",))


def _until_over(number: int, over: threading.Event) -> Iterator[int]:
    for each in range(number):
        if over.is_set():
            raise Inconclusive("the gate was over before the server's memory was measured")
        yield each


def _private_bytes(process: psutil.Process) -> int:
    """Return the private memory of a process and its descendants. Raises Inconclusive when it is gone."""
    total = 0
    try:
        for each in (process, *process.children(recursive=True)):
            with contextlib.suppress(psutil.NoSuchProcess):
                total += each.memory_full_info().uss
    except psutil.Error as error:
        raise Inconclusive(f"the memory of the rehearsal copy's server cannot be read: {error}") from error
    if not total:
        raise Inconclusive("the rehearsal copy's server is gone")
    return total

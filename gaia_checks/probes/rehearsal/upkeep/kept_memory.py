"""How much memory a server keeps of each request, and of each change of its rules.

Nobody else uses the server. A runtime that warms up grows as well, some for tens of thousands of requests: what a
server keeps is what it grows by to the end, round after round. So there are more rounds for one that grows, and still
more while it grows ever less; what still grows less then decides nothing.
"""

import asyncio
import contextlib
import itertools
import statistics
import threading
from collections.abc import Callable, Iterator, Sequence

import psutil

from gaia_checks.errors import Inconclusive
from gaia_checks.model import NOT_CHECKED, Measurement
from gaia_checks.probes.rehearsal import passing_clients
from gaia_checks.probes.rehearsal.copy_protocol import OwnServerProtocol
from gaia_checks.probes.rehearsal.counted_rules import counting
from gaia_checks.target.responses import QUOTAS
from gaia_checks.target.samples import Watch

REQUEST, CHANGE = "memory.kept_per_request", "memory.kept_per_change"
UNITS = {REQUEST: "bytes", CHANGE: "bytes"}

_REQUESTS = 5_000  # in each round
_RULES = 250  # the more, the larger is a list of them that is kept
_CHANGES = 40  # in each round
_LAST = 3  # growths, of which the median counts: one of them may meet a collection
_ROUNDS = 20  # at most, for one that grows ever less
_LONGEST_S = 30.0  # after which it gets no further round
_FLAT = {REQUEST: 10, CHANGE: 10_000}  # bytes for each: no sum that a program keeps is smaller
_SLOWED = 0.5  # of the growth before: then it may still end


def per_request(server: OwnServerProtocol, over: threading.Event) -> Measurement:
    """Measure REQUEST. Raises GaiaError."""

    def round_() -> None:
        answered = asyncio.run(passing_clients.repeat(server.target, f"{QUOTAS}/gaia-memory", _REQUESTS, over))
        if answered < _REQUESTS:
            raise Inconclusive(f"{answered} of {_REQUESTS} requests were answered (prod.success_rate judges answers)")

    with counting(server.target) as counts:
        counts.known()
        how = f"requests for a path that does not exist, {_REQUESTS:,}"
        return _kept(REQUEST, server, round_, _REQUESTS, how)


def per_change(server: OwnServerProtocol, over: threading.Event) -> Measurement:
    """Measure CHANGE. Raises GaiaError."""
    with counting(server.target) as counts:
        counts.known()
        rules = [counts.rule(f"upkeep-{number}", "requests_per_hour", 1) for number in _until_over(_RULES, over)]
        limits = itertools.count(2)

        def round_() -> None:
            limit = next(limits)
            for at in _until_over(_CHANGES, over):
                counts.limited(rules[at], limit)

        return _kept(CHANGE, server, round_, _CHANGES, f"changes of one of {_RULES} rules, {_CHANGES}")


def _kept(name: str, server: OwnServerProtocol, round_: Callable[[], None], number: int, how: str) -> Measurement:
    """Measure what each of `number` of a round leaves, in as many rounds as it takes."""
    watch, sizes, process = Watch(), list[int](), psutil.Process(server.process.pid)
    flat = number * _FLAT[name]
    while undecided(sizes, flat) and (not slows_down(sizes) or watch.elapsed_s() < _LONGEST_S):
        round_()
        sizes.append(_private_bytes(process))
    how = f"private memory of the server's processes by {how} in each round, median of the last {_LAST} growths"
    notes = (f"{' -> '.join(f'{size / 1e6:.2f}' for size in sizes)} MB",)
    if growth(sizes) > flat and slows_down(sizes):
        why = f"{NOT_CHECKED}the memory still grows, but ever less, as that of a runtime that warms up"
        return watch.measurement(name, 0, UNITS[name], 0, how, (why, *notes))
    return watch.measurement(name, round(max(0.0, growth(sizes) / number), 1), UNITS[name], number, how, notes)


def undecided(sizes: Sequence[int], flat: float) -> bool:
    """Whether further sizes may show something else: too few to say that it grows by more than `flat`, or not. Pure."""
    if len(sizes) < 1 + _LAST:
        return True
    if growth(sizes) <= flat:
        return False
    return len(sizes) < 1 + 2 * _LAST or (slows_down(sizes) and len(sizes) < _ROUNDS)


def growth(sizes: Sequence[int]) -> float:
    """Return the median of the last growths from one size to the next. Pure."""
    return statistics.median(_growths(sizes)[-_LAST:])


def slows_down(sizes: Sequence[int]) -> bool:
    """Whether the last growths are much smaller than those before them. Pure."""
    before = _growths(sizes)[:-_LAST][-_LAST:]
    return bool(before) and growth(sizes) < _SLOWED * statistics.median(before)


def _growths(sizes: Sequence[int]) -> list[int]:
    return [later - earlier for earlier, later in itertools.pairwise(sizes)]


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

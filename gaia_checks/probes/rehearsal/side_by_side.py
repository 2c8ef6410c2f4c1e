"""How a release compares with the previous one: both on rehearsal copies, under the same requests in turns."""

import contextlib
import os
import secrets
import signal
import threading
import time
from collections import Counter
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from typing import Any

import psutil

from gaia_checks.errors import Inconclusive, NotReady
from gaia_checks.model import Measurement, Target
from gaia_checks.probes.rehearsal import release_blocks
from gaia_checks.probes.rehearsal.copy_measurements import measured_on, without_samples
from gaia_checks.probes.rehearsal.copy_protocol import BareCopyProtocol, OwnServerProtocol, PairProtocol
from gaia_checks.probes.rehearsal.release_blocks import Block
from gaia_checks.target.samples import Watch

_MB = 1e6
_PREVIOUS, _NEW = "the previous release", "the new release"
_MEASURED = {
    "no_regression.serves": "bool",
    "no_regression.errors_more": "count",
    "no_regression.p50_ratio": "ms",
    "no_regression.p99_ratio": "ms",
    "no_regression.cpu_ratio": "ms",
    "no_regression.startup_ratio": "s",
    "no_regression.transactions_ratio": "ratio",
    "no_regression.memory_more_mb": "MB",
}

Servers = tuple[OwnServerProtocol, OwnServerProtocol]
"""The previous and the new release's."""


class NotServing(Exception):
    """Why the new release does not serve, where the previous one does."""


def probe(
    _target: Target,
    *,
    copy: AbstractContextManager[PairProtocol],
    over: threading.Event,
    pairs: float,
    starts: float,
) -> list[Measurement]:
    """Measure `no_regression.*`. What is not comparable has no samples, and a note with the reason."""
    return measured_on(copy, _MEASURED, lambda pair: on_copies(pair, over, pairs=int(pairs), starts=int(starts)))


def on_copies(pair: PairProtocol, over: threading.Event, *, pairs: int, starts: int) -> list[Measurement]:
    """Start both releases a few times, then send to both. Raises GaiaError where there is nothing to compare with."""
    watch, seed = Watch(), secrets.randbelow(2**32)
    try:
        _end(_start(pair))  # which unpacks both executables
        took_s, before, after = _starts(pair, starts, over)
        servers = _start(pair)
    except NotServing as error:
        serves = watch.measurement("no_regression.serves", False, "bool", 1, f"{_NEW} on a copy", (str(error),))
        return [serves, *without_samples(_rest({serves.name}), f"{_NEW} does not serve")]
    blocks = release_blocks.send(
        [server.target for server in servers], lambda: _pids(pair, servers), pairs, seed, over.is_set
    )
    memory_mb = [_memory_mb(server) for server in servers]
    _end(servers)
    loaded = [
        now - old - (old - first) / starts for first, old, now in zip(before, after, pair.transactions(), strict=True)
    ]
    how = f"{_PREVIOUS} and {_NEW} on copies, in turns; order by random seed {seed}"
    return _measurements(watch, how, blocks, took_s, loaded, memory_mb)


def _start(pair: PairProtocol) -> Servers:
    """Start both. Raises Inconclusive when the previous release does not start, else NotServing."""
    return _started(pair)[0]


def _started(pair: PairProtocol) -> tuple[Servers, tuple[float, float]]:
    """Start both at once, so that this machine slows both alike; return them, and the seconds that each took."""
    with ThreadPoolExecutor(2) as pool:
        previous, new = (pool.submit(_timed, copy) for copy in (pair.previous, pair.new))
    try:
        before, before_s = previous.result()
    except NotReady as error:
        raise Inconclusive(f"{_PREVIOUS} does not serve: {error}") from error
    try:
        now, now_s = new.result()
    except NotReady as error:
        raise NotServing(str(error)) from error
    return (before, now), (before_s, now_s)


def _timed(copy: BareCopyProtocol) -> tuple[OwnServerProtocol, float]:
    started = time.monotonic()
    return copy.start(), time.monotonic() - started


def _starts(
    pair: PairProtocol, number: int, over: threading.Event
) -> tuple[list[tuple[float, float]], Sequence[int], Sequence[int]]:
    """Start and end both a few times; return the seconds of each pair, and the transactions before and after."""
    before, took_s = pair.transactions(), list[tuple[float, float]]()
    for _ in range(number):
        if over.is_set():
            raise Inconclusive("the gate was stopped before the comparison finished")
        servers, seconds = _started(pair)
        _end(servers)
        took_s.append(seconds)
    return took_s, before, pair.transactions()


def _end(servers: Sequence[OwnServerProtocol]) -> None:
    for server in servers:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(server.process.pid, signal.SIGKILL)
        server.process.wait()


def _family(server: OwnServerProtocol) -> list[psutil.Process]:
    try:
        first = psutil.Process(server.process.pid)
        return [first, *first.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _pids(pair: PairProtocol, servers: Servers) -> list[list[int]]:
    return [
        [*(process.pid for process in _family(server)), *sessions]
        for server, sessions in zip(servers, pair.sessions(), strict=True)
    ]


def _memory_mb(server: OwnServerProtocol) -> float:
    with contextlib.suppress(psutil.NoSuchProcess):
        return sum(process.memory_info().rss for process in _family(server)) / _MB
    return 0.0


def _measurements(
    watch: Watch,
    how: str,
    blocks: Sequence[Block],
    took_s: Sequence[tuple[float, float]],
    transactions: Sequence[float],
    memory_mb: Sequence[float],
) -> list[Measurement]:
    requests = sum(len(previous.took_ms) for previous, _ in blocks)
    wrong = [_most_common_first([fault for block in blocks for fault in block[release].wrong]) for release in (0, 1)]
    if len(wrong[0]) * 2 > requests:
        raise Inconclusive(f"{_PREVIOUS} fails {len(wrong[0])} of {requests} requests; {wrong[0][0]}")
    found: dict[str, Measurement] = {}

    def measured(name: str, value: Any, n: int, notes: Sequence[str] = ()) -> None:
        whole = f"no_regression.{name}"
        found[whole] = watch.measurement(whole, value, _MEASURED[whole], n, how, notes)

    counts = [[[len(block[release].took_ms), len(block[release].wrong)] for block in blocks] for release in (0, 1)]
    measured("serves", True, 1)
    measured("errors_more", {"previous": counts[0], "new": counts[1]}, requests, wrong[1])
    measured("startup_ratio", took_s, len(took_s))
    if len(wrong[1]) * 2 > requests:
        why = f"{_NEW} fails {len(wrong[1])} of {requests} requests; {wrong[1][0]}"
        return [*found.values(), *without_samples(_rest(found), why)]
    for percentile in (50, 99):
        in_ms = [[round(sent.percentile_ms(percentile), 3) for sent in block] for block in blocks]
        measured(f"p{percentile}_ratio", in_ms, requests)
    cpu_ms = [[round(1000 * sent.cpu_s / len(sent.took_ms), 4) for sent in block] for block in blocks]
    idle = [] if all(map(min, cpu_ms)) else ["a release took no CPU that was measured"]
    measured("cpu_ratio", cpu_ms, 0 if idle else requests, idle)
    each = [number / requests for number in transactions]
    both = f"{each[0]:.2f} transactions per request before, now {each[1]:.2f}"
    measured("transactions_ratio", each[1] / each[0] if each[0] > 0 else 0, requests * (each[0] > 0), (both,))
    both = f"{memory_mb[0]:.1f} MB before, now {memory_mb[1]:.1f} MB"
    measured("memory_more_mb", memory_mb[1] - memory_mb[0], int(min(memory_mb) > 0), (both,))
    return list(found.values())


def _most_common_first(faults: Sequence[str]) -> list[str]:
    """Order faults by how many requests had the same, because the first one is the reason that is printed."""
    numbers = Counter(fault.partition(": ")[2] for fault in faults)
    return sorted(faults, key=lambda fault: -numbers[fault.partition(": ")[2]])


def _rest(found: Collection[str]) -> dict[str, str]:
    """Return the measurements that are not found, with their units."""
    return {name: unit for name, unit in _MEASURED.items() if name not in found}

"""A stream of requests for some seconds: the rate that is reported follows it, and no decision of it is lost."""

import json
import math
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import httpx
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from gaia_checks.errors import GaiaError
from gaia_checks.model import Target
from gaia_checks.probes.figures.known_traffic import Known
from gaia_checks.probes.figures.live_figures import DECISIONS, UPTIME, Scraped, scraped
from gaia_checks.probes.figures.reports import SUMMED_S
from gaia_checks.probes.websocket import connected
from gaia_checks.target.client import message
from gaia_checks.target.responses import ANALYTICS, QUOTAS

LASTS_S = 3.0
"""Longer than the 2 s after which a server stores its decisions, and most of what "over about 5 s" smooths."""

MOST_PER_S = 500
"""More would show nothing new; the rule of the run, which these requests count for, allows more."""

_AT_ONCE = 16
_PATH = f"{QUOTAS}/gaia-figures"  # it does not exist
_AT_ONCE_S = 2.0  # stats that come later than this are those of a broadcast
_CLOCKS_S = 1.0  # what the server's uptime and this clock may differ by, if one process has sent both stats
_FOLLOWED = 0.25  # of the change of the rate; a mean of 5 s follows 3 s by more than half
_CLEAR = 3.0  # so many times the rate before: a smaller change may be that of other clients
_TRIES = 2
_MOST_MINUTES = 24 * 60  # a server may delete older statistics

Sample = str | None


@dataclass(frozen=True, slots=True)
class Reported:
    """What stats report of the requests, and when they came."""

    requests: float
    per_second: float
    uptime_s: float
    at_s: float  # on the monotonic clock


def rate(known: Known, target: Target, rate_per_s: float) -> Iterator[Sample]:
    """Send the stream at that rate; yield the fault if requests_per_second does not follow it, twice."""
    wrong: Sample = None
    for _ in range(_TRIES):
        before = _reported(target)
        sent = _send(known, requests(rate_per_s))
        after = _reported(target)
        wrong = _not_following(before, after, sent) if before and after else None
        if wrong is None:
            break
    yield wrong


def stored(known: Known, before: Scraped) -> Iterator[Sample]:
    """Yield the fault if the analytics lack decisions that the process had counted SUMMED_S before, twice.

    What is read here is a decision, too, which could make up for a lost one: there are few of them.
    """
    wrong: Sample = None
    for attempt in range(_TRIES):
        if attempt:
            before = scraped(known)
            time.sleep(SUMMED_S)
        if (minutes := math.ceil(before.metrics.total(UPTIME, {}) / 60) + 2) > _MOST_MINUTES:
            return
        counted = sum(before.metrics.total(DECISIONS, {"decision": each}) for each in ("admitted", "denied"))
        if not counted:  # the metrics cannot be read, so there is nothing to compare with
            return
        answer = known.get(ANALYTICS, minutes=minutes)
        totals = answer.body["totals"]
        found = totals["admitted"] + totals["denied"]
        wrong = None if found >= counted else answer.fault(f"{found} decisions, {DECISIONS} was {counted:g} before")
        if wrong is None:
            break
    yield wrong


def _not_following(before: Reported, after: Reported, sent: int) -> Sample:
    """Compare two stats around the stream; None where they say nothing, because other processes sent them."""
    elapsed_s, requests = after.uptime_s - before.uptime_s, after.requests - before.requests
    if requests < sent or abs(elapsed_s - (after.at_s - before.at_s)) > _CLOCKS_S or elapsed_s <= 0:
        return None
    real = requests / elapsed_s
    if real < _CLEAR * max(before.per_second, 1.0):
        return None
    if after.per_second - before.per_second >= _FOLLOWED * (real - before.per_second):
        return None
    return (
        f"stats: requests_per_second went from {before.per_second:g} to {after.per_second:g} "
        f"while {real:.0f} requests a second were answered for {elapsed_s:.1f} s"
    )


def requests(rate_per_s: float) -> int:
    """Return how many requests the stream has. Pure."""
    return max(1, round(LASTS_S * min(rate_per_s, MOST_PER_S)))


def _send(known: Known, number: int) -> int:
    """Send requests of this run, several at once; return how many were answered. They need nothing but a decision."""
    starts_s, apart_s = time.monotonic(), LASTS_S / number

    def one(first: int) -> int:
        sent = 0
        for each in range(first, number, _AT_ONCE):
            time.sleep(max(0.0, starts_s + each * apart_s - time.monotonic()))
            if time.monotonic() > starts_s + LASTS_S:
                break
            try:
                known.beside.get(_PATH)
            except httpx.TransportError:
                break  # what becomes of requests is judged by others
            sent += 1
        return sent

    with ThreadPoolExecutor(_AT_ONCE) as together:
        return sum(together.map(one, range(_AT_ONCE)))


def _reported(target: Target) -> Reported | None:
    """Return what one more client receives at once; None where nothing comes, which dev.websocket judges."""
    deadline_s = time.monotonic() + _AT_ONCE_S
    try:
        with connected(target) as connection:
            while True:
                left_s = max(0.0, deadline_s - time.monotonic())
                received = json.loads(message(target, connection.recv(timeout=left_s)))
                if received["type"] == "stats":
                    data = received["data"]
                    requests, per_second = float(data["requests"]), float(data["requests_per_second"])
                    return Reported(requests, per_second, float(data["uptime_s"]), time.monotonic())
    except (GaiaError, InvalidHandshake, ConnectionClosed, OSError, EOFError, LookupError, ValueError, TypeError):
        return None

"""Limits wrong admin tokens by the address that sends them. Pure: time is an argument.

An address may send BURST wrong ones at once and one every INTERVAL_S afterwards; after that its tokens are not compared
at all: a limit that still lets the right one pass would still show a guesser which one it is. An address that sent the
right token within KNOWN_S is compared always, so nobody who shares it can lock its administrator out; what it sends
wrong gets the same refusal.
"""

import math
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

BURST = 10
INTERVAL_S = 6.0
KNOWN_S = 3600.0
MAX_ADDRESSES = 10_000
"""How many addresses are remembered; the least recent are forgotten."""


@dataclass(slots=True)
class _Record:
    """What one address has sent."""

    free_at: float = 0.0  # when all of its wrong tokens are forgiven
    known_until: float = 0.0


class Guesses:
    """The wrong tokens of each address."""

    def __init__(self) -> None:
        self._records: OrderedDict[str, _Record] = OrderedDict()

    def compare(self, address: str, matches: Callable[[], bool], now: float) -> bool | None:
        """Return whether the credential of `address` matches; None if the address has sent too many wrong ones."""
        record = self._records.setdefault(address, _Record())
        self._records.move_to_end(address)
        if len(self._records) > MAX_ADDRESSES:
            self._records.popitem(last=False)
        record.free_at = min(record.free_at, now + BURST * INTERVAL_S)  # should the clock have been set back
        exhausted = self.retry_s(address, now) > 0
        if exhausted and record.known_until <= now:
            return None
        if matches():
            record.known_until = now + KNOWN_S
            return True
        if exhausted:
            return None
        record.free_at = max(record.free_at, now) + INTERVAL_S
        return False

    def retry_s(self, address: str, now: float) -> int:
        """Return in how many seconds the next token of `address` is compared, rounded up; 0 for now."""
        record = self._records.get(address)
        return max(math.ceil(record.free_at - now - (BURST - 1) * INTERVAL_S), 0) if record else 0

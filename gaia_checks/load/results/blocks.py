"""The blocks of a load, by when their requests were due; the bounds are computed from them. Pure.

A block that can no longer change is stored encoded, so that a load of hours stays small.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gaia_checks.load.results.histogram import Histogram
from gaia_checks.load.results.per_second import BLOCK_S, REPLY_LIMIT_S, Block, look_of

_OPEN_BLOCKS = 2 + int(REPLY_LIMIT_S / BLOCK_S)  # the newest ones may still receive responses


@dataclass
class Blocks:
    """All blocks so far, by key."""

    _open: dict[int, Block] = field(default_factory=dict)
    _closed: dict[int, tuple[int, int, int, str]] = field(default_factory=dict)

    def add(self, blocks: Mapping[int, Block]) -> None:
        """Add the requests that finished in one second."""
        for key, block in blocks.items():
            if key in self._closed:  # a response after the time limit
                self._open[key] = self._reopen(key)
            self._open.setdefault(key, Block()).add(block)
        for key in sorted(self._open)[:-_OPEN_BLOCKS]:
            block = self._open.pop(key)
            self._closed[key] = (block.requests, block.failures, block.served, block.latency.encode())

    def finished_until(self, look: int) -> int:
        """Return the number of finished requests that were due by the end of a look."""
        closed = sum(row[0] for key, row in self._closed.items() if look_of(key) <= look)
        return closed + sum(block.requests for key, block in self._open.items() if look_of(key) <= look)

    def until(self, look: int) -> dict[str, Any]:
        """Return the results of the requests due by the end of a look, as JSON."""
        still = {
            key: (block.requests, block.failures, block.served, block.latency.encode())
            for key, block in self._open.items()
        }
        keys = sorted(key for key in {**self._closed, **still} if look_of(key) <= look)
        rows = [{**self._closed, **still}[key] for key in keys]
        return {
            "block_keys": keys,
            "blocks": [[requests, failures] for requests, failures, _, _ in rows],
            "latency_blocks": [latency for *_, latency in rows],
            "done": sum(row[0] for row in rows),
            "failed": sum(row[1] for row in rows),
            "served": sum(row[2] for row in rows),
        }

    def _reopen(self, key: int) -> Block:
        requests, failures, served, latency = self._closed.pop(key)
        return Block(requests, failures, served, Histogram.decode(latency))

"""What `/analytics` says: every number computed from stored rows, none assumed. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

Rows = Sequence[Mapping[str, Any]]


def summary(rows: Mapping[str, Rows], minutes: int) -> dict[str, Any]:
    """Return the answer from the rows of `store.Store.analytics`.

    `admitted_ratio` is admitted / decided (0 to 1), None where nothing was decided.
    """
    admitted = sum(row["admitted"] for row in rows["decisions"])
    denied = sum(row["denied"] for row in rows["decisions"])
    return {
        "minutes": minutes,
        "totals": {
            "admitted": admitted,
            "denied": denied,
            "admitted_ratio": admitted / (admitted + denied) if admitted + denied else None,
        },
        **rows,
    }

"""What `/analytics` says: every number computed from stored rows, none assumed. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

PERIODS = ("minute", "hour", "day")
"""What decisions and load are summed up by, UTC."""

Rows = Sequence[Mapping[str, Any]]


def summary(rows: Mapping[str, Rows], minutes: int, per: str) -> dict[str, Any]:
    """Return the answer from the rows of `store.Store.analytics`.

    Ratios are of what was decided (0 to 1), None where nothing was; a rule's share is of all hits.
    """
    counted = _counted(rows["decisions"])
    hits = sum(row["hits"] for row in rows["by_rule"])
    return {
        "minutes": minutes,
        "per": per,
        "totals": counted,
        **rows,
        "decisions": [{"start": row["start"], **_counted([row])} for row in rows["decisions"]],
        "by_rule": [{**row, "share": row["hits"] / hits} for row in rows["by_rule"]],
    }


def _counted(rows: Rows) -> dict[str, Any]:
    admitted = sum(row["admitted"] for row in rows)
    denied = sum(row["denied"] for row in rows)
    decided = admitted + denied
    return {"admitted": admitted, "denied": denied, "denied_ratio": denied / decided if decided else None}

"""The body of `/analytics`: every number is computed from stored rows, none is assumed. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

PERIODS = ("minute", "hour", "day")
"""The periods (UTC) that decisions and load are grouped by."""

Rows = Sequence[Mapping[str, Any]]


def summary(rows: Mapping[str, Rows], minutes: int, per: str) -> dict[str, Any]:
    """Return the response body from the rows of `store.Store.analytics`.

    Ratios are parts of all decisions (0 to 1), None without decisions; a rule's share is its part of all hits.
    `oldest` is the first minute that statistics exist of.
    """
    counted = _counted(rows["decisions"])
    hits = sum(row["hits"] for row in rows["by_rule"])
    return {
        "minutes": minutes,
        "per": per,
        "totals": counted,
        **rows,
        "oldest": rows["oldest"][0]["minute"],
        "decisions": [{"start": row["start"], **_counted([row])} for row in rows["decisions"]],
        "by_rule": [{**row, "share": row["hits"] / hits} for row in rows["by_rule"]],
    }


def _counted(rows: Rows) -> dict[str, Any]:
    admitted = sum(row["admitted"] for row in rows)
    denied = sum(row["denied"] for row in rows)
    decided = admitted + denied
    return {"admitted": admitted, "denied": denied, "denied_ratio": denied / decided if decided else None}

"""What a load's result says, as measurements under the names that criteria.toml uses. Pure but for the time of day."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from gaia_checks import jsonl
from gaia_checks.model import Measurement

LOOKS = "load.looks"
"""How many looks at a load that goes on were measured."""


def measurements(result: Mapping[str, Any], look: str = "load") -> list[Measurement]:
    """Return what a result says, under the name of the look that the load was for."""
    intended, sent, done, seconds = result["intended"], result["sent"], result["done"], result["seconds"]

    def saw(name: str, value: Any, unit: str, n: int, how: str, notes: Sequence[str] = ()) -> Measurement:
        return Measurement(f"{look}.{name}", value, unit, n, result["window_s"], jsonl.now(), how, tuple(notes))

    blocks = {"failures": result["failed"], "blocks": result["blocks"]}
    return [
        saw("sent_of_intended", _share(sent, intended), "ratio", intended, "requests sent, of those intended",
            result["generator_notes"]),
        saw("send_lateness_p99", result["lateness_p99_ms"], "ms", sent,
            "from when a request was due until its turn came"),
        saw("send_lateness_max", result["lateness_max_ms"], "ms", sent,
            "the latest request: how long the generator itself stood still"),
        saw("generator_errors", result["generator_errors"], "count", intended,
            f"requests lost by our own fault; {result['retried']} met a connection that was closed and took another",
            result["generator_notes"]),
        saw("limited", result["limited"], "count", done, "requests refused with 429", result["limited_notes"]),
        saw("generator_cpu", result["cpu_p95"], "ratio", seconds, "p95 of the generator's share of a core in a second"),
        saw("generator_waited", result["waited_p95"], "ratio", seconds,
            "p95 of the share of a second in which the generator could run but another process had the core"),
        saw("cpu_steal", result["steal_p95"], "ratio", seconds,
            "p95 of the share of all cores taken by other machines"),
        saw("served_of_sent", _share(result["served"], result["served_of"]), "ratio", result["served_of"],
            "requests answered as they should be, no later than 1 s after the window, of those sent", result["notes"]),
        saw("outcomes", blocks, "count", done,
            "requests and failures per 10 s; success = expected status and valid body", result["notes"]),
        saw("latency", result["latency_blocks"], "hdr", done,
            "per 10 s: from when a request was due until its whole answer was there"),
        *([_admitted(result, saw)] if result["floods"] else []),
    ]  # fmt: skip


def _admitted(result: Mapping[str, Any], saw: Callable[..., Measurement]) -> Measurement:
    """Return how much of the worst flood was admitted, and say of each how much it was."""
    floods = sorted(result["floods"], key=lambda flood: flood["admitted"] / flood["allowed"], reverse=True)
    notes = [
        f"{flood['route']}: {flood['admitted']} of {flood['sent']} admitted, {flood['allowed']:.0f} allowed"
        for flood in floods
    ]
    how = "admitted requests of the worst flood, of those that its rule allows in that time"
    return saw("admitted_of_limit", floods[0]["admitted"] / floods[0]["allowed"], "ratio",
               sum(flood["sent"] for flood in floods), how, notes)  # fmt: skip


def looked(number: int, window_s: float) -> Measurement:
    """Return the measurement that follows those of one look at a load that goes on: they are complete."""
    how = "looks at the load so far; it goes on until the gate has seen enough"
    return Measurement(LOOKS, number, "count", number, window_s, jsonl.now(), how)


def nothing(why: str, look: str = "load") -> list[Measurement]:
    """Return the measurements of a load that saw nothing: every criterion of it can say why."""
    names = {
        "sent_of_intended": "ratio",
        "send_lateness_p99": "ms",
        "generator_errors": "count",
        "served_of_sent": "ratio",
        "outcomes": "count",
        "latency": "hdr",
    }
    return [
        Measurement(f"{look}.{name}", None, unit, 0, 0.0, jsonl.now(), "the load did not take place", (why,))
        for name, unit in names.items()
    ]


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None

"""Converts a load's result into the measurements that criteria.toml names. Pure but for the time of day."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from gaia_checks import jsonl
from gaia_checks.model import Measurement

LOOKS = "load.looks"
"""The number of looks that were measured while the load continued."""

WORKERS = "workers"
"""The workers of a distributed load. Each starts by the master's clock, so that the differences are only shown."""


def measurements(result: Mapping[str, Any], look: str = "load") -> list[Measurement]:
    """Return the measurements of a result, with the look's name as prefix."""
    intended, sent, done, seconds = result["intended"], result["sent"], result["done"], result["seconds"]

    def measured(name: str, value: Any, unit: str, n: int, how: str, notes: Sequence[str] = ()) -> Measurement:
        return Measurement(f"{look}.{name}", value, unit, n, result["window_s"], jsonl.now(), how, tuple(notes))

    blocks = {"failures": result["failed"], "blocks": result["blocks"]}
    workers = result.get("by_worker", ())
    least = min(workers, key=lambda worker: _share(worker["sent"], worker["intended"]) or 0.0, default=result)
    latest = max(workers, key=lambda worker: worker["lateness_p99_ms"], default=result)
    return [
        measured("sent_of_intended", _share(least["sent"], least["intended"]), "ratio", intended,
            "requests sent, of those intended", [*_by(least), *result["generator_notes"]]),
        measured("send_lateness_p99", latest["lateness_p99_ms"], "ms", sent,
            "from when a request was due until it was sent", _by(latest)),
        measured("send_lateness_max", result["lateness_max_ms"], "ms", sent,
            "the latest request: the longest pause of the generator itself"),
        measured("generator_errors", result["generator_errors"], "count", intended,
            f"requests lost by a fault of the generator; {result['retried']} met a closed connection and used another",
            result["generator_notes"]),
        measured("limited", result["limited"], "count", done, "requests refused with 429", result["limited_notes"]),
        measured("generator_cpu", result["cpu_p95"], "ratio", seconds,
            "p95 of the generator's share of a core in a second"),
        measured("generator_waited", result["waited_p95"], "ratio", seconds,
            "p95 of the share of a second in which the generator was runnable but another process had the core"),
        measured("cpu_steal", result["steal_p95"], "ratio", seconds,
            "p95 of the share of all cores taken by other machines"),
        measured("served_of_sent", _share(result["served"], result["served_of"]), "ratio", result["served_of"],
            "requests with a valid response no later than 1 s after the window, of those sent", result["notes"]),
        measured("outcomes", blocks, "count", done,
            "requests and failures per 10 s; success = expected status and valid body", result["notes"]),
        measured("latency", result["latency_blocks"], "hdr", done,
            "per 10 s: from when a request was due until its response was complete"),
        *([_admitted(result, measured)] if result["floods"] else []),
        *([measured(WORKERS, len(workers), "count", done, "processes that sent the load together, and each one's part",
            [_described(worker) for worker in workers])] if workers else []),
    ]  # fmt: skip


def _by(worst: Mapping[str, Any]) -> list[str]:
    """Return a note that names the worst of several workers."""
    return [f"the worst worker: {worst['name']}"] if "name" in worst else []


def _described(worker: Mapping[str, Any]) -> str:
    latency_ms = worker["latency_p99_ms"]
    return (
        f"{worker['name']}, gaia-checks {worker['version']}: {worker['sent']} of {worker['intended']} sent to "
        f"{worker['url']}, "
        f"lateness p99 {worker['lateness_p99_ms']:.2f} ms, latency p99 "
        f"{'unknown' if latency_ms is None else f'{latency_ms:.2f} ms'}, CPU {worker['cpu_p95']:.0%}, waited "
        f"{worker['waited_p95']:.0%}, clock {worker['clock_ahead_ms']:+.1f} ms from the gate's, "
        f"known to {worker['clock_uncertain_ms']:.1f} ms"
    )


def _admitted(result: Mapping[str, Any], measured: Callable[..., Measurement]) -> Measurement:
    """Return the admitted share of the worst flood, with the counts of each flood as notes."""
    floods = sorted(result["floods"], key=lambda flood: flood["admitted"] / flood["allowed"], reverse=True)
    notes = [
        f"{flood['route']}: {flood['admitted']} of {flood['sent']} admitted, {flood['allowed']:.0f} allowed"
        for flood in floods
    ]
    how = "admitted requests of the worst flood, of those that its rule allows in that time"
    return measured("admitted_of_limit", floods[0]["admitted"] / floods[0]["allowed"], "ratio",
               sum(flood["sent"] for flood in floods), how, notes)  # fmt: skip


def looked(number: int, window_s: float) -> Measurement:
    """Return the measurement that marks the measurements of one look as complete."""
    how = "analyses so far; the load continues until every criterion of it is decided"
    return Measurement(LOOKS, number, "count", number, window_s, jsonl.now(), how)


def not_measured(why: str, look: str = "load") -> list[Measurement]:
    """Return the measurements of a load without a result, so that its criteria can state the reason."""
    names = {
        "sent_of_intended": "ratio",
        "send_lateness_p99": "ms",
        "generator_errors": "count",
        "served_of_sent": "ratio",
        "outcomes": "count",
        "latency": "hdr",
    }
    return [
        Measurement(f"{look}.{name}", None, unit, 0, 0.0, jsonl.now(), "the load did not run", (why,))
        for name, unit in names.items()
    ]


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None

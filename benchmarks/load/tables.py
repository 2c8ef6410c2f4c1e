"""The results as tables. Every figure is the median of the rounds."""

from collections.abc import Mapping, Sequence
from statistics import median

from benchmarks.load.generators import Run
from benchmarks.load.truth import PERCENTILES, allowed_ms, percentile_ms


def fidelity(stall_s: float, rate_per_s: float, rows: Mapping[str, Sequence[Run]]) -> tuple[list[str], list[str]]:
    """Return the table of one stall length, and the project's figures outside the tolerance."""
    truths = [percentile_ms(stall_s, percentile) for percentile in PERCENTILES]
    lines = [
        f"**Stalls of {stall_s:g} s in every 10 s at {rate_per_s:g} requests/s** (ms; in brackets the error)",
        "",
        "| generator | requests/s | " + " | ".join(f"p{p:g}" for p in PERCENTILES) + " |",
        "|---|---|---|---|---|---|",
        f"| *truth* | {rate_per_s:g} | " + " | ".join(f"*{truth:.0f}*" for truth in truths) + " |",
    ]
    missed = []
    for name, runs in rows.items():
        cells = []
        for percentile, truth in zip(PERCENTILES, truths, strict=True):
            value = _median([run.percentiles_ms[percentile] for run in runs])
            cells.append("–" if value is None else f"{value:.0f} ({_error(value, truth)})")
            if name.startswith("ours") and (value is None or abs(value - truth) > allowed_ms(truth, rate_per_s)):
                missed.append(f"fidelity, stall {stall_s:g} s, {name}: p{percentile:g} is {value} ms, not {truth:.0f}")
        rate = median(run.requests / run.wall_s for run in runs)
        lines.append(f"| {name} | {rate:.1f} | " + " | ".join(cells) + " |")
    return lines, missed


def timing(rows: Mapping[tuple[str, float], Sequence[Run]]) -> tuple[list[str], list[str]]:
    """Return the table of send errors, and those above 0.5 ms."""
    lines = ["| engine | requests/s | p50 | p99 | p99.9 | worst |", "|---|---|---|---|---|---|"]
    missed = []
    for (name, rate_per_s), runs in rows.items():
        shown = [median(run.lateness_ms[p] for run in runs) for p in (50.0, 99.0, 99.9, 100.0)]
        lines.append(f"| {name} | {rate_per_s:g} | " + " | ".join(f"{value:.3f}" for value in shown) + " |")
        if shown[1] > 0.5:
            missed.append(f"timing, {name} at {rate_per_s:g}/s: the send error's p99 is {shown[1]:.3f} ms, not 0.5")
    return lines, missed


def capacity(
    rows: Mapping[str, Sequence[Run]], promises: Mapping[str, tuple[float, float]]
) -> tuple[list[str], list[str]]:
    """Return the requests per CPU second. `promises`: name -> (times HttpUser, p99 of the send error in ms)."""
    base = median(run.per_cpu_s for run in rows["HttpUser"])
    lines = [
        "| generator | requests/s | requests per CPU-second | × HttpUser | send error p99 (ms) |",
        "|---|---|---|---|---|",
    ]
    missed = []
    for name, runs in rows.items():
        worth, rate = median(run.per_cpu_s for run in runs), median(run.requests / run.wall_s for run in runs)
        error = _median([run.lateness_ms.get(99.0) for run in runs])
        shown = "not reported" if error is None else f"{error:.3f}"
        lines.append(f"| {name} | {rate:.0f} | {worth:.0f} | {worth / base:.1f} | {shown} |")
        times, allowed = promises.get(name, (0.0, float("inf")))
        if worth < times * base:
            missed.append(f"capacity, {name}: {worth / base:.1f} times HttpUser, not {times:g}")
        if error is not None and error > allowed:
            missed.append(f"capacity, {name}: the send error's p99 is {error:.3f} ms, not {allowed:g}")
    return lines, missed


def _median(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return median(known) if known else None


def _error(value: float, truth: float) -> str:
    return f"{(value - truth) / truth:+.1%}" if truth else f"{value - truth:+.1f} ms"

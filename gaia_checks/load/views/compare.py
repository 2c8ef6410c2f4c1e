"""Compares two loads, of gaia, k6 or locust.

    gaia load compare reports/local/latest summary.json

Reads the folder of a gaia load; k6's `--summary-export` or the JSON of its `handleSummary`, both also in the
machine-readable form of k6 1.5 and later; and locust's `*_stats.csv` or `*_stats_history.csv`. Values that a tool
rounded or omitted are reported as such and never estimated.
"""

import csv
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from gaia_checks.errors import ConfigurationError
from gaia_checks.judge.statistics import Latencies, decode

PERCENTILES = (50.0, 90.0, 95.0, 99.0, 99.9)

RESULT = Path("load.json")

_K6_MORE = "k6 run --summary-trend-stats 'med,p(90),p(95),p(99),p(99.9)' (not in its machine-readable form)"
_NO_LOAD = "not a readable load; name the folder of a gaia load, k6's summary as JSON, or locust's stats as CSV"


@dataclass(frozen=True, slots=True)
class Figures:
    """The figures of one load. None: not reported by its tool."""

    name: str
    tool: str  # "gaia", "k6", "locust"
    requests: int | None
    rate_per_s: float | None
    success: float | None  # share of requests
    latency_ms: Mapping[float, float | None]  # by percentile
    notes: tuple[str, ...]  # rounded, missing or differently measured values


def read(path: Path) -> Figures:
    """Read one load. Raises ConfigurationError, in one line, for anything else."""
    try:
        if path.is_dir():
            return _ours(str(path), json.loads((path / RESULT).read_text(encoding="utf-8")))
        text = path.read_text(encoding="utf-8-sig")
        if path.suffix == ".csv":
            return _locust(str(path), list(csv.DictReader(text.splitlines())))
        document = json.loads(text)
        return _ours(str(path), document) if "latency" in document else _k6(str(path), document)
    except OSError as error:
        raise ConfigurationError(f"{error.filename or path}: cannot be read ({error.strerror}); {_NO_LOAD}") from error
    except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        raise ConfigurationError(f"{path}: {_NO_LOAD} ({_cause(error)})") from error


def _cause(error: Exception) -> str:
    return f"{error} is missing" if isinstance(error, KeyError) else str(error).splitlines()[0]


# readers -----------------------------------------------------------------------------------------


def _ours(name: str, result: Mapping[str, Any]) -> Figures:
    if "broken" in result:
        raise ValueError(f"this load was not measured: {result['broken']}")
    latencies, done = Latencies([decode(result["latency"])]), int(result["done"])
    return Figures(
        name=name,
        tool="gaia",
        requests=done,
        rate_per_s=done / float(result["window_s"]),
        success=1 - int(result["failed"]) / done,
        latency_ms={percentile: latencies.percentile_ms(percentile) for percentile in PERCENTILES},
        notes=("latency from when a request was due, to 0.1 %",),
    )


def _k6(name: str, document: Mapping[str, Any]) -> Figures:
    metrics = _k6_metrics(document)
    requests, duration = metrics["http_reqs"], metrics["http_req_duration"]
    failed = metrics.get("http_req_failed", {})
    failed_share = failed.get("rate", failed.get("value"))
    duration.setdefault("p(50)", duration.get("med"))
    latency_ms = {percentile: _number(duration, f"p({percentile:g})") for percentile in PERCENTILES}
    notes = ["latency from when a request was sent: excludes the wait for a free VU"]
    if missing := [f"p{percentile:g}" for percentile, value in latency_ms.items() if value is None]:
        notes.append(f"{', '.join(missing)} missing: {_K6_MORE}")
    if dropped := metrics.get("dropped_iterations", {}).get("count"):
        notes.append(f"{dropped:g} iterations were dropped, so fewer requests were sent than intended")
    if failed_share is None:
        notes.append("success missing: the summary has no http_req_failed")
    return Figures(
        name=name,
        tool="k6",
        requests=int(requests["count"]),
        rate_per_s=_number(requests, "rate"),
        success=None if failed_share is None else 1 - float(failed_share),
        latency_ms=latency_ms,
        notes=tuple(notes),
    )


def _k6_metrics(document: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the numbers of each metric from any of k6's formats.

    `--summary-export` has them directly, `handleSummary` below `values`, and the machine-readable form in a list, whose
    counters have no rate.
    """
    if "results" not in document:
        return {metric: dict(table.get("values", table)) for metric, table in document["metrics"].items()}
    metrics = {metric["name"]: dict(metric["values"]) for metric in document["results"]["metrics"]}
    metrics["http_reqs"]["rate"] = metrics["http_reqs"]["count"] / float(document["config"]["duration"])
    return metrics


def _locust(name: str, rows: Sequence[Mapping[str, str]]) -> Figures:
    """Read either of locust's files by its aggregated row; of the history, the last one."""
    whole = [row for row in rows if row["Name"] == "Aggregated"]
    if not whole:
        raise ValueError("no row named Aggregated")
    last = whole[-1]
    if "Timestamp" not in last:
        return _locust_stats(name, last)
    requests, failures = int(last["Total Request Count"]), int(last["Total Failure Count"])
    lasted_s = int(last["Timestamp"]) - int(whole[0]["Timestamp"])
    return Figures(
        name=name,
        tool="locust",
        requests=requests,
        rate_per_s=requests / lasted_s if lasted_s else None,
        success=1 - failures / requests if requests else None,
        latency_ms=dict.fromkeys(PERCENTILES),
        notes=("percentiles missing: the history has them per 10 s only; use the _stats.csv beside it",),
    )


def _locust_stats(name: str, row: Mapping[str, str]) -> Figures:
    requests = int(row["Request Count"])
    latency_ms = {percentile: _number(row, f"{percentile:g}%") for percentile in PERCENTILES}
    steps = sorted({_locust_step_ms(value) for value in latency_ms.values() if value is not None})
    notes = ["latency from when a request was sent: excludes the wait for a free user"]
    if steps:
        notes.append(f"percentiles rounded, here to {' and '.join(f'{step} ms' for step in steps)}")
    return Figures(
        name=name,
        tool="locust",
        requests=requests,
        rate_per_s=_number(row, "Requests/s"),
        success=1 - int(row["Failure Count"]) / requests if requests else None,
        latency_ms=latency_ms,
        notes=tuple(notes),
    )


def _locust_step_ms(value_ms: float) -> int:
    """Return locust's rounding step for a response time of this size (locust.stats.StatsEntry._log_response_time)."""
    return 1 if value_ms < 100 else 10 if value_ms < 1000 else 100 if value_ms < 10_000 else 1000


def _number(table: Mapping[str, Any], key: str) -> float | None:
    """Return a number; None where the tool wrote none."""
    value = table.get(key)
    return None if value in (None, "", "N/A") else float(value)


# output ------------------------------------------------------------------------------------------

_Write = Callable[[float], str]


def rows(first: Figures, second: Figures) -> list[tuple[str, str, str, str]]:
    """Return (figure, first, second, difference of the second to the first) as text. Pure."""
    latencies = [
        _row(f"p{percentile:g}", first.latency_ms[percentile], second.latency_ms[percentile], lambda v: f"{v:,.3f} ms")
        for percentile in PERCENTILES
    ]
    return [
        _row("requests", first.requests, second.requests, lambda value: f"{value:,.0f}"),
        _row("rate", first.rate_per_s, second.rate_per_s, lambda value: f"{value:,.2f} /s"),
        _points("success", first.success, second.success),
        *latencies,
    ]


def _row(what: str, first: float | None, second: float | None, write: _Write) -> tuple[str, str, str, str]:
    difference = f"{second / first - 1:+.1%}" if first and second is not None else "–"
    return what, _or_dash(first, write), _or_dash(second, write), difference


def _points(what: str, first: float | None, second: float | None) -> tuple[str, str, str, str]:
    """Compare two shares by percentage points: 99.99 % and 99.95 % differ by a factor of 5 in failures."""
    difference = "–" if first is None or second is None else f"{100 * (second - first):+.4f} points"
    return (
        what,
        _or_dash(first, lambda share: f"{share:.4%}"),
        _or_dash(second, lambda share: f"{share:.4%}"),
        difference,
    )


def _or_dash(value: float | None, write: _Write) -> str:
    return "–" if value is None else write(value)


def text(first: Figures, second: Figures) -> str:
    """Return both loads side by side, followed by notes on rounded or missing values. Pure."""
    table = [("", f"A: {first.tool}", f"B: {second.tool}", "B to A"), *rows(first, second)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = [f"A  {first.name}", f"B  {second.name}", ""]
    for what, *cells in table:
        aligned = (cell.rjust(width) for cell, width in zip(cells, widths[1:], strict=True))
        lines.append("  ".join((what.ljust(widths[0]), *aligned)).rstrip())
    notes = [f"{label}: {note}" for label, figures in (("A", first), ("B", second)) for note in figures.notes]
    return "\n".join((*lines, "", *notes))


def to_json(first: Figures, second: Figures) -> dict[str, Any]:
    """Return both loads as JSON, with percentiles named `p99_ms`. Pure."""
    return {"a": _figures_json(first), "b": _figures_json(second)}


def _figures_json(figures: Figures) -> dict[str, Any]:
    record = asdict(figures)
    named = {f"p{re.sub('[.]', '', f'{percentile:g}')}_ms": value for percentile, value in figures.latency_ms.items()}
    return {**record, "latency_ms": named, "notes": list(figures.notes)}

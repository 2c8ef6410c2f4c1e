"""The exit code of a load by hand or in a CI: 0, 1 or 8, by the bounds that the gate uses. Pure.

The generator is judged first, by the checks of criteria.toml's `[honesty.load]`: if one of them fails, the load is
inconclusive and the server neither passes nor fails.
"""

import argparse
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gaia_checks.errors import Inconclusive
from gaia_checks.load.results.measurements import measurements

_CRITERIA = Path(__file__).parents[2] / "judge" / "criteria.toml"
_UNITS_MS = {"ms": 1.0, "s": 1000.0}
_FAILED = 1


@dataclass(frozen=True, slots=True)
class Thresholds:
    """The thresholds for the server; None: no threshold."""

    p99_ms: float | None = None
    success: float | None = None

    def __bool__(self) -> bool:
        """Whether there is any threshold."""
        return self.p99_ms is not None or self.success is not None


@dataclass(frozen=True, slots=True)
class ThresholdResult:
    """One line of the result, and the exit code of this line alone."""

    code: int
    text: str


def duration_ms(text: str) -> float:
    """Parse `100ms` or `0.1s` from a command line."""
    number = text.rstrip("ms")
    try:
        value = float(number) * _UNITS_MS[text[len(number) :]]
    except (ValueError, KeyError):
        raise argparse.ArgumentTypeError(f"{text!r} is not a duration; write e.g. 100ms") from None
    if not value > 0:
        raise argparse.ArgumentTypeError(f"{text!r} must be above 0")
    return value


def share(text: str) -> float:
    """Parse `99.95%` or `0.9995` from a command line."""
    try:
        value = float(text.rstrip("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        value = -1.0
    if not 0 < value <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a share; write e.g. 99.95%")
    return value


def judge(result: Mapping[str, Any], limits: Thresholds) -> tuple[int, list[ThresholdResult]]:
    """Return the exit code of a load and why: 0 pass, 1 fail, 8 inconclusive."""
    if "broken" in result:
        return _undecided(f"the load was not measured: {result['broken']}")
    if not result["done"]:
        return _undecided("no request finished")
    if unreliable := [*_generator(result)]:
        return Inconclusive.exit_code, unreliable
    findings = [*_server(result, limits), *_floods(result)]
    codes = {finding.code for finding in findings}
    return next((code for code in (_FAILED, Inconclusive.exit_code) if code in codes), 0), findings


def _undecided(why: str) -> tuple[int, list[ThresholdResult]]:
    return Inconclusive.exit_code, [ThresholdResult(Inconclusive.exit_code, f"inconclusive: {why}")]


def _generator(result: Mapping[str, Any]) -> Iterator[ThresholdResult]:
    """Yield the failed checks of the generator."""
    measured = {measurement.name: measurement for measurement in measurements(result)}
    for check in tomllib.loads(_CRITERIA.read_text(encoding="utf-8"))["honesty"]["load"]["checks"]:
        name, rule, threshold = check["measurement"], check["rule"], check["threshold"]
        if name not in measured:  # only the gate measures it, because it knows the target's processes
            continue
        value = measured[name].value
        if value is None or not (value >= threshold if rule == "at_least" else value <= threshold):
            what = f"{name} is {value if value is None else f'{value:g}'} {check['unit']}"
            required = f"{rule.replace('_', ' ')} {threshold:g} is required"
            note = f" ({measured[name].notes[0]})" if measured[name].notes else ""
            yield ThresholdResult(Inconclusive.exit_code, f"the generator is unreliable: {what}, {required}{note}")


def _server(result: Mapping[str, Any], limits: Thresholds) -> Iterator[ThresholdResult]:
    if not limits:
        return
    # SciPy takes 0.3 s to import: every load would start as much later, and needs it only when all has been sent
    from gaia_checks.judge.statistics import ONLY_ALPHA, Latencies, Sample, decode  # noqa: PLC0415

    if limits.success is not None:
        sample = Sample.of(result["blocks"])
        lower, upper = sample.lower(ONLY_ALPHA), sample.upper(ONLY_ALPHA)
        note = f"; {result['notes'][0]}" if result["notes"] else ""
        what = f"success {1 - result['failed'] / result['done']:.4%} of {result['done']}"
        yield _compare(f"{what} (bounds {lower:.4%} to {upper:.4%}, {limits.success:.4%} required){note}",
                       good=lower >= limits.success, bad=upper < limits.success)  # fmt: skip
    if limits.p99_ms is not None:
        latencies = Latencies(decode(text) for text in result["latency_blocks"])
        lower_ms, upper_ms = latencies.bounds_ms(99, (ONLY_ALPHA, ONLY_ALPHA))
        bounds = f"bounds {_ms(lower_ms)} to {_ms(upper_ms)}, {limits.p99_ms:g} ms required"
        yield _compare(f"p99 of {result['done']} ({bounds})",
                       good=upper_ms is not None and upper_ms < limits.p99_ms,
                       bad=lower_ms is not None and lower_ms >= limits.p99_ms)  # fmt: skip


def _floods(result: Mapping[str, Any]) -> Iterator[ThresholdResult]:
    for flood in result["floods"]:
        within = flood["admitted"] <= flood["allowed"]
        text = f"flood {flood['route']}: {flood['admitted']} of {flood['sent']} admitted, {flood['allowed']:g} allowed"
        yield _compare(text, good=within, bad=not within)


def _compare(text: str, *, good: bool, bad: bool) -> ThresholdResult:
    if good:
        return ThresholdResult(0, f"pass: {text}")
    return (
        ThresholdResult(_FAILED, f"fail: {text}")
        if bad
        else ThresholdResult(Inconclusive.exit_code, f"inconclusive: {text}")
    )


def _ms(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.3f} ms"

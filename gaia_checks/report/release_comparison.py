"""How a release compares with the previous one, in one line: every report has it, judged or not."""

from collections.abc import Iterator, Mapping

from gaia_checks.judge import paired
from gaia_checks.judge.statistics import ONLY_ALPHA
from gaia_checks.model import Measurement

_BEFORE = "no_regression."
_TIMES = {
    "p50_ratio": "p50",
    "p99_ratio": "p99",
    "cpu_ratio": "CPU per request",
    "startup_ratio": "start-up",
}


def lines(newest: Mapping[str, Measurement]) -> Iterator[str]:
    """Yield the line from the newest measurements that have samples; nothing where no release was compared."""
    found = {
        name.removeprefix(_BEFORE): measurement for name, measurement in newest.items() if name.startswith(_BEFORE)
    }
    if parts := [*_errors(found), *_ratios(found), *_exact(found)]:
        yield f"relative to the previous release: {', '.join(parts)}"


def _errors(found: Mapping[str, Measurement]) -> Iterator[str]:
    if "errors_more" in found:
        blocks = found["errors_more"].value
        failed = {release: sum(block[1] for block in blocks[release]) for release in ("previous", "new")}
        n = found["errors_more"].n
        yield f"{failed['new']} errors in {n:,} requests, {failed['previous']} before"
    if "serves" in found and not found["serves"].value:
        yield "it does not serve"


def _ratios(found: Mapping[str, Measurement]) -> Iterator[str]:
    for name, what in _TIMES.items():
        if name in found and (interval := paired.ratio(found[name].value, ONLY_ALPHA)):
            yield f"{what} × {interval.estimate:.2f} ({interval.lower:.2f} to {interval.upper:.2f})"


def _exact(found: Mapping[str, Measurement]) -> Iterator[str]:
    if "transactions_ratio" in found:
        yield f"transactions × {found['transactions_ratio'].value:.2f}"
    if "memory_more_mb" in found:
        yield f"memory {found['memory_more_mb'].value:+.1f} MB"

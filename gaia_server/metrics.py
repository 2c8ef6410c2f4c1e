"""Prometheus metrics, in a registry of their own. Labels are bounded: no client can invent one."""

import resource
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from gaia_server import __version__

_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)

Gauges = Callable[[], dict[str, tuple[str, float]]]
"""Name -> (help, value), asked at each scrape."""


class _Now(Collector):
    """Gauges read when they are asked for."""

    def __init__(self, gauges: Gauges) -> None:
        self._gauges = gauges

    def collect(self) -> Iterator[Metric]:
        """Yield one family per gauge."""
        for name, (text, value) in self._gauges().items():
            yield GaugeMetricFamily(name, text, value=value)


class Metrics:
    """Everything that is counted."""

    content_type = "text/plain; version=0.0.4; charset=utf-8"

    def __init__(self, gauges: Gauges, digest: str | None) -> None:
        self._registry = registry = CollectorRegistry()
        self.requests = Counter(
            "gaia_http_requests", "Answered requests.", ("method", "route", "status"), registry=registry
        )
        self.duration = Histogram(
            "gaia_http_request_duration_seconds",
            "From the request's head to the answer's end.",
            ("route",),
            buckets=_BUCKETS_S,
            registry=registry,
        )
        self.decisions = Counter(
            "gaia_rate_limit_decisions", "Decisions of the limiter.", ("scope", "decision"), registry=registry
        )
        self.violations = Counter(
            "gaia_rate_limit_violations",
            "Refusals, one for each rule that refuses.",
            ("scope", "limit_type"),
            registry=registry,
        )
        self.pushed = Counter(
            "gaia_websocket_messages", "Messages pushed to all clients.", ("type",), registry=registry
        )
        build = GaugeMetricFamily("gaia_build_info", "What runs.", labels=("version", "digest"))
        build.add_metric((__version__, digest or ""), 1)
        registry.register(_Constant(build))
        registry.register(_Now(gauges))
        ProcessCollector(registry=registry)

    def text(self) -> bytes:
        """Return all metrics in the Prometheus text format."""
        return generate_latest(self._registry)


class _Constant(Collector):
    """One family that never changes."""

    def __init__(self, family: Metric) -> None:
        self._family = family

    def collect(self) -> Iterator[Metric]:
        """Yield it."""
        yield self._family


def resident_bytes() -> int:
    """Return the memory this process holds now (Linux), or held at most (elsewhere)."""
    statm = Path("/proc/self/statm")
    if statm.exists():
        return int(statm.read_text().split()[1]) * resource.getpagesize()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024

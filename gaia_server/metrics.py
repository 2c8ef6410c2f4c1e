"""Prometheus metrics, in a separate registry. Labels are bounded: no client can invent one."""

import resource
import sys
import time
from collections.abc import Callable, Collection, Iterator
from functools import lru_cache
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from gaia_server import __version__

_DECISION_BUCKETS_S = (0.0005, 0.001, 0.002, 0.003, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 2)
_BATCH_BUCKETS = (1, 2, 5, 10, 20, 50, 100, 200, 500)
_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)

_OUTCOMES = {True: "admitted", False: "denied"}

Gauges = Callable[[], dict[str, tuple[str, float]]]
"""Name -> (help, value), read at each scrape."""


class _LiveGauges(Collector):
    """Gauges that are read at each scrape."""

    def __init__(self, gauges: Gauges) -> None:
        self._gauges = gauges

    def collect(self) -> Iterator[Metric]:
        """Yield one family per gauge."""
        for name, (text, value) in self._gauges().items():
            yield GaugeMetricFamily(name, text, value=value)


class RuleDecisions(Collector):
    """Decisions of each rule, kept as plain numbers: every request counts one for each applicable rule."""

    def __init__(self) -> None:
        self._counts: dict[tuple[int, bool], int] = {}

    def count(self, rule_id: int, *, admitted: bool) -> None:
        """Count one rule's decision."""
        counts, key = self._counts, (rule_id, admitted)
        counts[key] = counts.get(key, 0) + 1

    def keep(self, rule_ids: Collection[int]) -> None:
        """Remove the counts of all other rules, so that labels do not accumulate."""
        self._counts = {key: count for key, count in self._counts.items() if key[0] in rule_ids}

    def collect(self) -> Iterator[Metric]:
        """Yield one family."""
        family = CounterMetricFamily(
            "gaia_rate_limit_rule_decisions",
            "Decisions of each applicable rule; a request passes if all admit it.",
            labels=("rule_id", "decision"),
        )
        for (rule_id, admitted), count in self._counts.items():
            family.add_metric((str(rule_id), _OUTCOMES[admitted]), count)
        yield family


class Metrics:
    """The server's metrics."""

    content_type = "text/plain; version=0.0.4; charset=utf-8"

    def __init__(self, gauges: Gauges, digest: str | None) -> None:
        self._registry = registry = CollectorRegistry()
        self.requests = Counter(
            "gaia_http_requests", "Answered requests.", ("method", "route", "status"), registry=registry
        )
        self.duration = Histogram(
            "gaia_http_request_duration_seconds",
            "From the end of the request's head to the end of the response.",
            ("route",),
            buckets=_BUCKETS_S,
            registry=registry,
        )
        self.decisions = Counter(
            "gaia_rate_limit_decisions", "Decisions of the limiter.", ("scope", "decision"), registry=registry
        )
        self._rule_decisions = RuleDecisions()
        registry.register(self._rule_decisions)
        self.decision_seconds = Histogram(
            "gaia_rate_limit_decision_duration_seconds",
            "Time of a limiter decision, including the wait for the batch.",
            buckets=_DECISION_BUCKETS_S,
            registry=registry,
        )
        self.batch_size = Histogram(
            "gaia_rate_limit_batch_size",
            "Requests decided by one database call.",
            buckets=_BATCH_BUCKETS,
            registry=registry,
        )
        self.decided = self._rule_decisions.count
        self.keep_rules = self._rule_decisions.keep
        # looking up a child by its labels costs more than counting
        self.request = lru_cache(maxsize=1024)(self.requests.labels)
        self.route = lru_cache(maxsize=128)(self.duration.labels)
        self.decision = lru_cache(maxsize=128)(self.decisions.labels)
        self.violations = Counter(
            "gaia_rate_limit_violations",
            "Refusals, one per refusing rule.",
            ("scope", "limit_type"),
            registry=registry,
        )
        self.pushed = Counter(
            "gaia_websocket_messages", "Messages pushed to all clients.", ("type",), registry=registry
        )
        build = GaugeMetricFamily("gaia_build_info", "Version and executable digest.", labels=("version", "digest"))
        build.add_metric((__version__, digest or ""), 1)
        registry.register(_Constant(build))
        registry.register(_LiveGauges(gauges))
        if Path("/proc/self/stat").exists():
            ProcessCollector(registry=registry)
        else:
            registry.register(_ThisProcess())

    def text(self) -> bytes:
        """Return all metrics in the Prometheus text format."""
        return generate_latest(self._registry)


class _Constant(Collector):
    """One family that never changes."""

    def __init__(self, family: Metric) -> None:
        self._family = family

    def collect(self) -> Iterator[Metric]:
        """Yield the family."""
        yield self._family


class _ThisProcess(Collector):
    """Replaces ProcessCollector on systems without /proc."""

    def collect(self) -> Iterator[Metric]:
        """Yield memory and CPU time under the standard names."""
        yield GaugeMetricFamily("process_resident_memory_bytes", "Resident memory.", value=resident_bytes())
        yield CounterMetricFamily("process_cpu_seconds", "User and system CPU time spent.", value=time.process_time())


def resident_bytes() -> int:
    """Return the resident memory of this process: current (Linux) or peak (elsewhere)."""
    statm = Path("/proc/self/statm")
    if statm.exists():
        return int(statm.read_text().split()[1]) * resource.getpagesize()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024

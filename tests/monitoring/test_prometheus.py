"""A real Prometheus answers every query that we ship, about the real server with something to do."""

import math
import re
from typing import Any

import pytest

from gaia_checks.model import Target
from gaia_checks.probes.monitoring import monitoring_probe
from gaia_checks.probes.monitoring.shipped_queries import DASHBOARD, Query, shipped
from tests.monitoring.prometheus import Prometheus

QUERIES = shipped(monitoring_probe.FOLDER)
SHOWN = [query for query in QUERIES if query.where.startswith(DASHBOARD) and "Restarts" not in query.where]


def asked(query: Query) -> str:
    """The expression as Grafana asks it, all servers of our job being chosen, about the last seconds."""
    expression = re.sub(r"\$__\w+", "10s", query.expression)
    return expression.replace("$job", "gaia_server").replace("$instance", ".*")


def shows(series: list[dict[str, Any]]) -> bool:
    """Whether there is a number to show."""
    return any(math.isfinite(float(one["value"][1])) for one in series)


def test_every_panel_shows_something(prometheus: Prometheus, server: Target) -> None:
    """After some traffic of every kind each query of the dashboard gives a number, but for restarts: there are none."""
    empty = SHOWN

    def all_show() -> bool:
        nonlocal empty
        monitoring_probe.probe(server)
        empty = [query for query in SHOWN if not shows(prometheus.query(asked(query)))]
        return not empty

    prometheus.until(all_show, lambda: [query.says("shows nothing") for query in empty])
    assert len(SHOWN) >= 30


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: query.where)
def test_every_query_is_answered(prometheus: Prometheus, query: Query) -> None:
    """Prometheus understands it, and can evaluate it on what the server tells."""
    prometheus.query(asked(query))


def test_every_alert_is_evaluated_and_none_fires(prometheus: Prometheus) -> None:
    """The rules are in force as they are shipped, and a healthy server sets none of them off."""
    rules: list[dict[str, Any]] = []

    def evaluated() -> bool:
        rules[:] = [rule for group in prometheus.ask("rules")["groups"] for rule in group["rules"]]
        return all(rule["health"] != "unknown" for rule in rules)

    prometheus.until(evaluated, lambda: rules)
    assert {rule["name"]: rule.get("lastError", "") for rule in rules if rule["health"] != "ok"} == {}
    assert len(rules) == len(QUERIES) - len(SHOWN) - 1
    assert [rule["name"] for rule in rules if rule["state"] == "firing"] == []


def test_the_server_is_scraped_as_the_example_says(prometheus: Prometheus) -> None:
    """By the name that alerts and dashboard go by, without a token."""
    assert [series["metric"]["job"] for series in prometheus.query("up == 1")] == ["gaia_server"]

"""Shipped queries: all are found, and each resolves, or the fault says what it lacks."""

import json
from pathlib import Path
from typing import Any

import pytest

from gaia_checks.errors import ConfigurationError
from gaia_checks.probes.monitoring.shipped_queries import Query, shipped, unresolved
from gaia_checks.target import prometheus_text

SAID = prometheus_text.read(
    """
# TYPE asked_total counter
asked_total{route="/",status="200"} 3
# TYPE took_seconds histogram
took_seconds_bucket{le="+Inf",route="/"} 2
took_seconds_sum{route="/"} 0.25
took_seconds_count{route="/"} 2
# TYPE later_total counter
# TYPE up_since gauge
up_since 7
"""
)

ALERTS = """
groups:
  - name: one
    rules:
      - {alert: Down, expr: up == 0}
  - name: two
    rules:
      - {alert: Slow, expr: took > 1}
      - {alert: Late, expr: late > 1}
"""

DASHBOARD: dict[str, Any] = {
    "panels": [
        {"title": "Row", "type": "row", "panels": [{"title": "Folded", "targets": [{"expr": "folded"}]}]},
        {"title": "Two", "targets": [{"expr": "first"}, {"expr": "second"}]},
        {"title": "Text", "type": "text"},
    ],
    "annotations": {"list": [{"name": "Restarts", "expr": "restarts"}]},
    "templating": {
        "list": [
            {"name": "datasource", "query": "prometheus"},
            {"name": "instance", "query": 'label_values(built{job="$job"}, instance)'},
        ]
    },
}


def folder(tmp_path: Path, alerts: str = ALERTS, dashboard: str = json.dumps(DASHBOARD)) -> Path:
    """Two files."""
    (tmp_path / "alerts.yml").write_text(alerts)
    (tmp_path / "dashboard.json").write_text(dashboard)
    return tmp_path


def test_every_query_is_found(tmp_path: Path) -> None:
    """Queries of alerts, panels (also collapsed), annotations and variables, each with its location."""
    assert [(query.where, query.expression) for query in shipped(folder(tmp_path))] == [
        ("alerts.yml: Down", "up == 0"),
        ("alerts.yml: Slow", "took > 1"),
        ("alerts.yml: Late", "late > 1"),
        ("dashboard.json: Folded", "folded"),
        ("dashboard.json: Two", "first"),
        ("dashboard.json: Two", "second"),
        ("dashboard.json: Restarts", "restarts"),
        ("dashboard.json: $instance", 'count by (instance) (built{job="$job"})'),
    ]


@pytest.mark.parametrize(
    ("alerts", "dashboard", "expected_note"),
    [
        ("groups: [", json.dumps(DASHBOARD), "alerts.yml: cannot be read (ParserError"),
        ("groups: 7", json.dumps(DASHBOARD), "alerts.yml: cannot be read (TypeError"),
        ("other: []", json.dumps(DASHBOARD), "alerts.yml: cannot be read (KeyError"),
        (ALERTS, "{", "dashboard.json: cannot be read (JSONDecodeError"),
        (ALERTS, "[]", "dashboard.json: cannot be read (TypeError"),
    ],
)
def test_a_file_that_is_none_is_named(tmp_path: Path, alerts: str, dashboard: str, expected_note: str) -> None:
    """An invalid file raises ConfigurationError; it is no fault of the server."""
    with pytest.raises(ConfigurationError) as caught:
        shipped(folder(tmp_path, alerts, dashboard))
    assert expected_note in str(caught.value)


def test_a_file_that_is_missing_is_named(tmp_path: Path) -> None:
    """A missing folder raises, as in an installation without the project's folders."""
    with pytest.raises(ConfigurationError, match=r"alerts.yml: cannot be read \(No such file or directory\)"):
        shipped(tmp_path)


@pytest.mark.parametrize(
    "expression",
    [
        "up_since",
        'up{job="gaia_server"} == 0',
        "rate(asked_total[5m])",
        'rate(asked_total{job="$job",instance=~"$instance",route!="/"}[$__rate_interval])',
        'sum by (status) (rate(asked_total{status=~"5.."}[5m])) / ignoring (status) sum(rate(asked_total[5m]))',
        'asked_total{status="500"}',
        "histogram_quantile(0.9, sum by (le, job) (rate(took_seconds_bucket[5m])))",
        "rate(took_seconds_sum[5m]) / rate(took_seconds_count[5m])",
        'later_total{anything="at all"}',
        "sum by (anything) (later_total)",
        "max_over_time((up_since * 2)[5m:10s])",
        "vector(1)",
    ],
)
def test_what_is_there_resolves(expression: str) -> None:
    """Names, suffixes, labels, Prometheus' and Grafana's own, and a metric without an event yet resolve."""
    assert unresolved(Query("alerts.yml: Down", expression), SAID) is None


@pytest.mark.parametrize(
    ("expression", "expected_note"),
    [
        ("asked", "there is no metric asked"),
        ("took_seconds", "there is no metric took_seconds"),
        ("took_seconds_total", "there is no metric took_seconds_total"),
        ("rate(asked_total[5m]) > 1 and gone == 0", "there is no metric gone"),
        ('asked_total{code="200"}', "asked_total has no label code"),
        ('asked_total{code!="200",path=""}', "asked_total has no label code, path"),
        ('up{route="/"}', "up has no label route"),
        ("sum by (rout) (asked_total)", "asked_total has no label rout"),
        ("sum by (le) (took_seconds_count)", "took_seconds_count has no label le"),
        ("sum without (rout) (asked_total)", "asked_total has no label rout"),
        ('{job="gaia_server"}', "a selector names no metric"),
        ("rate(asked_total[5m)", "no PromQL: "),
        ("rate(asked_total)", "no PromQL: "),
        ("", "no PromQL: "),
    ],
)
def test_what_is_not_there_is_named(expression: str, expected_note: str) -> None:
    """The fault has the query's location, what it lacks, and the query."""
    found = unresolved(Query("dashboard.json: Two", expression), SAID)
    assert found is not None
    assert found.startswith(f"dashboard.json: Two: {expected_note}")
    assert found.endswith(f", in {expression}")

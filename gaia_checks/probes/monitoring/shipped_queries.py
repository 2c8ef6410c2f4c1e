"""The queries of the shipped monitoring files, and whether a server's /metrics resolves them."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import promql_parser
import yaml

from gaia_checks.errors import ConfigurationError
from gaia_checks.target.prometheus_text import Exposition

ALERTS, DASHBOARD = "alerts.yml", "dashboard.json"

_OF_PROMETHEUS = frozenset({"up"})
"""Metrics that Prometheus itself adds for every scrape target."""

_BY_PROMETHEUS = frozenset({"job", "instance"})
"""Labels that Prometheus adds to every series."""

_MACRO = re.compile(r"\$__(rate_interval|interval|range)")  # Grafana's own durations
_LABEL_VALUES = re.compile(r"label_values\((.+),\s*(\w+)\)")


@dataclass(frozen=True, slots=True)
class Query:
    """One expression and its location."""

    where: str  # "alerts.yml: GaiaServerDown", "dashboard.json: Latency"
    expression: str

    def says(self, what: str) -> str:
        """Return a sentence about the query."""
        return f"{self.where}: {what}, in {' '.join(self.expression.split())}"


def shipped(folder: Path) -> list[Query]:
    """Return every query of the alerts and of the dashboard in `folder`.

    Raises ConfigurationError when a file is missing or invalid.
    """
    return [
        *_read(folder / ALERTS, lambda text: list(_of_alerts(yaml.safe_load(text)))),
        *_read(folder / DASHBOARD, lambda text: list(_of_dashboard(json.loads(text)))),
    ]


def unresolved(query: Query, exposition: Exposition) -> str | None:
    """Return what the query uses and this exposition lacks; None when it resolves.

    A labelled metric without events has no series yet: then its name is enough. Label values are not checked, as
    `status="500"` should never occur.
    """
    try:
        tree = promql_parser.parse(_MACRO.sub("5m", query.expression))
    except ValueError as error:
        return query.says(f"no PromQL: {error}")
    wrong = (_wrong_selector(node, exposition) or _wrong_grouping(node, exposition) for node in _nodes(tree))
    return next((query.says(what) for what in wrong if what), None)


# The files ---------------------------------------------------------------------------------------


def _read(path: Path, queries: Callable[[str], list[Query]]) -> list[Query]:
    try:
        return queries(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError, LookupError, TypeError, AttributeError) as error:
        why = error.strerror if isinstance(error, OSError) else f"{type(error).__name__} {error}"
        raise ConfigurationError(f"{path}: cannot be read ({why}); restore it from the release") from error


def _of_alerts(document: Mapping[str, Any]) -> Iterator[Query]:
    for group in document["groups"]:
        for rule in group["rules"]:
            yield Query(f"{ALERTS}: {rule['alert']}", rule["expr"])


def _of_dashboard(document: Mapping[str, Any]) -> Iterator[Query]:
    for panel in _panels(document["panels"]):
        for target in panel.get("targets", ()):
            yield Query(f"{DASHBOARD}: {panel['title']}", target["expr"])
    for annotation in document["annotations"]["list"]:
        yield Query(f"{DASHBOARD}: {annotation['name']}", annotation["expr"])
    for variable in document["templating"]["list"]:
        if found := _LABEL_VALUES.fullmatch(variable["query"]):
            yield Query(f"{DASHBOARD}: ${variable['name']}", f"count by ({found[2]}) ({found[1]})")


def _panels(panels: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield all panels, also those in collapsed rows."""
    for panel in panels:
        yield panel
        yield from _panels(panel.get("panels", []))


# The expressions ---------------------------------------------------------------------------------


def _nodes(tree: promql_parser.Expr) -> list[promql_parser.Expr]:
    found: list[promql_parser.Expr] = []
    promql_parser.walk(tree, found.append)
    return found


def _wrong_selector(node: promql_parser.Expr, exposition: Exposition) -> str | None:
    if not isinstance(node, promql_parser.VectorSelector):
        return None
    if node.name is None:
        return "a selector names no metric"
    if node.name not in exposition.names() | _OF_PROMETHEUS:
        return f"there is no metric {node.name}"
    used = {matcher.name for matcher in node.matchers.matchers}
    return _missing(node.name, used - _labels(node.name, exposition)) if _has_series(node.name, exposition) else None


def _wrong_grouping(node: promql_parser.Expr, exposition: Exposition) -> str | None:
    """Return a grouping label that no series below carries: all series would silently merge into one."""
    if not isinstance(node, promql_parser.AggregateExpr) or node.modifier is None:
        return None
    names = [one.name for one in _nodes(node.expr) if isinstance(one, promql_parser.VectorSelector) and one.name]
    if not all(_has_series(name, exposition) for name in names):
        return None
    known = frozenset[str]().union(*(_labels(name, exposition) for name in names))
    return _missing(" and ".join(sorted(set(names))), set(node.modifier.labels) - known)


def _has_series(name: str, exposition: Exposition) -> bool:
    return name in exposition.samples or name in _OF_PROMETHEUS


def _labels(name: str, exposition: Exposition) -> frozenset[str]:
    return exposition.labels(name) | _BY_PROMETHEUS


def _missing(name: str, labels: set[str]) -> str | None:
    return f"{name} has no label {', '.join(sorted(labels))}" if labels else None

"""The monitoring that we ship: every query of its files, and whether a server's /metrics has what it asks for."""

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
"""Metrics that Prometheus itself makes for whatever it scrapes."""

_BY_PROMETHEUS = frozenset({"job", "instance"})
"""Labels that Prometheus puts on every series."""

_MACRO = re.compile(r"\$__(rate_interval|interval|range)")  # Grafana's own durations
_LABEL_VALUES = re.compile(r"label_values\((.+),\s*(\w+)\)")


@dataclass(frozen=True, slots=True)
class Query:
    """One expression, and where it stands."""

    where: str  # "alerts.yml: GaiaServerDown", "dashboard.json: Latency"
    expression: str

    def says(self, what: str) -> str:
        """Return a sentence about it."""
        return f"{self.where}: {what}, in {' '.join(self.expression.split())}"


def shipped(folder: Path) -> list[Query]:
    """Return every query of the alerts and of the dashboard in `folder`.

    Raises ConfigurationError when a file is missing or is not what it should be.
    """
    return [
        *_read(folder / ALERTS, lambda text: list(_of_alerts(yaml.safe_load(text)))),
        *_read(folder / DASHBOARD, lambda text: list(_of_dashboard(json.loads(text)))),
    ]


def unresolved(query: Query, said: Exposition) -> str | None:
    """Say what the query asks for that a server which says this does not have.

    A metric that has labels and no event yet has no series: then its name is enough. What value a label must have is
    not asked, as `status="500"` had better never be there.
    """
    try:
        tree = promql_parser.parse(_MACRO.sub("5m", query.expression))
    except ValueError as error:
        return query.says(f"no PromQL: {error}")
    wrong = (_wrong_selector(node, said) or _wrong_grouping(node, said) for node in _nodes(tree))
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
    """Yield all panels, those within rows that are folded up too."""
    for panel in panels:
        yield panel
        yield from _panels(panel.get("panels", []))


# The expressions ---------------------------------------------------------------------------------


def _nodes(tree: promql_parser.Expr) -> list[promql_parser.Expr]:
    found: list[promql_parser.Expr] = []
    promql_parser.walk(tree, found.append)
    return found


def _wrong_selector(node: promql_parser.Expr, said: Exposition) -> str | None:
    if not isinstance(node, promql_parser.VectorSelector):
        return None
    if node.name is None:
        return "a selector names no metric"
    if node.name not in said.names() | _OF_PROMETHEUS:
        return f"there is no metric {node.name}"
    asked = {matcher.name for matcher in node.matchers.matchers}
    return _missing(node.name, asked - _labels(node.name, said)) if _has_series(node.name, said) else None


def _wrong_grouping(node: promql_parser.Expr, said: Exposition) -> str | None:
    """Say which label is grouped by that no series below carries: all would silently become one."""
    if not isinstance(node, promql_parser.AggregateExpr) or node.modifier is None:
        return None
    names = [one.name for one in _nodes(node.expr) if isinstance(one, promql_parser.VectorSelector) and one.name]
    if not all(_has_series(name, said) for name in names):
        return None
    known = frozenset[str]().union(*(_labels(name, said) for name in names))
    return _missing(" and ".join(sorted(set(names))), set(node.modifier.labels) - known)


def _has_series(name: str, said: Exposition) -> bool:
    return name in said.samples or name in _OF_PROMETHEUS


def _labels(name: str, said: Exposition) -> frozenset[str]:
    return said.labels(name) | _BY_PROMETHEUS


def _missing(name: str, labels: set[str]) -> str | None:
    return f"{name} has no label {', '.join(sorted(labels))}" if labels else None

"""The contract's metrics: enough for the monitoring that we ship, and what the real server tells."""

import re
from collections.abc import Iterator

import httpx
import promql_parser
import pytest

from gaia_checks.environment.project import ROOT
from gaia_checks.model import Target
from gaia_checks.probes.monitoring.monitoring_probe import FOLDER
from gaia_checks.probes.monitoring.shipped_queries import Query, shipped, unresolved
from gaia_checks.target import prometheus_text
from gaia_checks.target.prometheus_text import Exposition

QUERIES = shipped(FOLDER)


def test_the_contract_is_read(promised: Exposition) -> None:
    """As a table of all types, with the labels."""
    assert len(promised.types) > 20
    assert set(promised.types.values()) == {"counter", "gauge", "histogram"}
    assert promised.labels("gaia_http_requests_total") == {"method", "route", "status"}


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: query.where)
def test_a_query_asks_for_what_the_contract_promises(query: Query, promised: Exposition) -> None:
    """Whoever keeps the contract can be watched by these files."""
    assert unresolved(query, promised) is None


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: query.where)
def test_a_value_that_is_asked_for_is_one_that_the_contract_names(query: Query) -> None:
    """A decision or type that nobody tells would never be found, and nobody would see it."""
    text = (ROOT / "docs" / "contract.md").read_text()
    assert [value for value in values(query) if f"`{value}`" not in text] == []


def values(query: Query) -> Iterator[str]:
    """Yield the values that a query's labels must have, without those that only a rule of HTTP can name."""
    expression = re.sub(r"\$__\w+", "5m", query.expression)
    found: list[promql_parser.Expr] = []
    promql_parser.walk(promql_parser.parse(expression), found.append)
    for selector in found:
        if isinstance(selector, promql_parser.VectorSelector):
            for matcher in selector.matchers.matchers:
                if matcher.name not in ("status", "job", "instance"):
                    yield from matcher.value.split("|")


def test_the_real_server_tells_what_is_promised(server: Target, promised: Exposition) -> None:
    """Every metric, by the promised type and with the promised labels, where it has a series already."""
    with httpx.Client(base_url=server.base_url) as http:
        http.get("/livez")
        told = prometheus_text.read(http.get("/metrics").text)
    assert {name: told.types.get(name) for name in promised.types} == promised.types
    named = {name: told.labels(name) for name in promised.samples if name in told.samples}
    assert named == {name: promised.labels(name) for name in named}

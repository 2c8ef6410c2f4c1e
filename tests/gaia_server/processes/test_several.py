"""Several processes on one database share one set of rules."""

import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from tests.gaia_server.conftest import Running, Start, poll, unique, without_rules
from tests.support import plain_http

PROMISED_S = 1.0
PROMISED_AFTER_A_LOSS_S = 5.0
MARGIN_S = 5.0  # for a busy machine


@pytest.fixture
def pair(schema: str, start: Start) -> tuple[Running, Running]:
    """Two server processes on one database."""
    without_rules(schema)
    return start(), start()


def refused_key(server: Running) -> str:
    """Create a rule on this server that refuses everything; return its API key."""
    return str(server.rule(scope_value=unique("key"), limit_value=0)["scope_value"])


def seconds_until(server: Running, key: str, status: int, within_s: float) -> float:
    """Return the seconds until requests with this key are answered with a status."""
    began = time.monotonic()
    headers = {"X-API-Key": key}
    poll(
        lambda: plain_http.get(f"{server.base_url}/api/nothing", headers=headers).status_code == status,
        within_s=within_s,
    )
    return time.monotonic() - began


def test_a_new_rule_is_in_force_on_all(pair: tuple[Running, Running]) -> None:
    """A new rule applies on all processes, typically at once, at the latest with the next periodic read."""
    here, there = pair
    took = [seconds_until(there, refused_key(here), 429, PROMISED_S + MARGIN_S) for _ in range(7)]
    assert statistics.median(took) <= PROMISED_S, took


def test_a_changed_and_a_deleted_rule_too(pair: tuple[Running, Running]) -> None:
    """A raised limit and a deleted rule take effect on the other process."""
    here, there = pair
    rule = here.rule(scope_value=unique("key"), limit_value=0)
    key, url = rule["scope_value"], f"{here.home}/config/{rule['id']}"
    seconds_until(there, key, 429, PROMISED_S + MARGIN_S)
    fields = {name: rule[name] for name in ("rule_name", "scope", "scope_value", "limit_type")}
    assert here.request("PUT", url, json={**fields, "limit_value": 1}).status_code == 200
    seconds_until(there, key, 404, PROMISED_S + MARGIN_S)
    seconds_until(here, key, 429, PROMISED_S)  # one request uses up the limit for both
    assert here.request("DELETE", url).status_code == 204
    seconds_until(there, key, 404, PROMISED_S + MARGIN_S)


def test_a_lost_notification(schema: str, pair: tuple[Running, Running]) -> None:
    """A process that misses the notification of a rule still reads the rule."""
    here, there = pair
    refused_key(here)  # both have their connections
    with no_listeners(schema):
        key = refused_key(here)
    seconds_until(there, key, 429, PROMISED_AFTER_A_LOSS_S + MARGIN_S)


@contextmanager
def no_listeners(dsn: str) -> Iterator[None]:
    """Terminate all listening sessions, and prevent new ones during the block."""
    name = conninfo_to_dict(dsn)["dbname"]
    with psycopg.connect(dsn.replace(f"/{name}?", "/postgres?"), autocommit=True) as admin:
        admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        try:
            listening = "FROM pg_stat_activity WHERE datname = %s AND query LIKE 'LISTEN %%'"
            terminated = admin.execute(f"SELECT pg_terminate_backend(pid) {listening}", (name,)).fetchall()
            assert len(terminated) == 2, "each process listens"
            poll(lambda: not admin.execute(f"SELECT {listening}", (name,)).fetchall())
            yield
        finally:
            admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")

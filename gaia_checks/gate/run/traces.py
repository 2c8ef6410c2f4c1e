"""The gate's traces in the target (temporary rules and their rows), and their removal.

Every rule's name starts with the run's alias (`Target.key`), which only who knows the run id recognises; its deletion
removes its buckets, quotas and violations. The next gate with the same reports folder removes the traces of a killed
one. At the end the list of rules and every table are searched for the alias.
"""

import math
from collections.abc import Collection
from typing import Any

import httpx
import psycopg
from psycopg import sql

from gaia_checks.errors import AdapterError, TargetUnreachable
from gaia_checks.model import NOT_CHECKED, Measurement, Target, alias
from gaia_checks.target import client, postgres_session, rules
from gaia_checks.target.samples import Watch

_CONFIG = "/api/admin/quotas/config"
_ROWS_LEFT = "gate.rows_left"
_LEAST_PER_S, _TIMES_RATE = 1000, 10  # the gate's temporary rule never limits it, not even a late load that catches up
_TABLES = """
    SELECT c.relname::text FROM pg_class AS c
    WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') ORDER BY c.relname
"""


def prepare(target: Target, runs: Collection[str], rate_per_s: float) -> str | None:
    """Remove the traces of `runs` and create the temporary rule; return why that is impossible, None when it is done.

    The rule is far above `rate_per_s`, the highest rate of a load.
    A server without a usable rule API is measured on everything that needs no rule. Raises TargetUnreachable when it
    accepts no connection.
    """
    try:
        remove(target, runs)
        _announce(target, max(_LEAST_PER_S, math.ceil(_TIMES_RATE * rate_per_s)))
    except (httpx.ConnectError, httpx.ConnectTimeout) as error:
        raise TargetUnreachable(f"{target.base_url}: no connection: {error}; is it running?") from error
    except httpx.HTTPError as error:
        return f"{_CONFIG}: {type(error).__name__} {error}".rstrip()
    except (RulesUnavailable, AdapterError) as error:
        return str(error)
    return None


class RulesUnavailable(Exception):
    """Why the target's rules cannot be listed or created."""


def _announce(target: Target, limit_per_s: int) -> None:
    """Create the temporary rule that makes the server accept this run's key. Raises RulesUnavailable."""
    rule = rules.for_one_key(target.key, "requests_per_second", limit_per_s)
    with client.client(target, keyed=False) as http:
        response = rules.send(http, "POST", _CONFIG, json=rule)
        if response.status_code != 201:
            raise RulesUnavailable(
                f"POST {_CONFIG} answered {response.status_code} instead of 201 ({_settings(target)})"
            )


def remove(target: Target, runs: Collection[str]) -> list[str]:
    """Delete every rule of `runs` and return the names of those that could not be deleted.

    Raises httpx.HTTPError when the server does not answer, RulesUnavailable when it does not list its rules.
    """
    left = []
    prefixes = tuple(f"{alias(run, target.client_names)}-" for run in runs)
    with client.client(target, keyed=False) as http:
        for rule in _rules(http, target):
            if f"{rule['rule_name']}-".startswith(prefixes):
                response = rules.send(http, "DELETE", f"{_CONFIG}/{rule['id']}")
                if response.status_code not in (204, 404):
                    left.append(rule["rule_name"])
    return left


def rows_left(target: Target) -> Measurement:
    """Search for what is left of the run: its rules in the list, and rows that carry its key in the tables.

    The list shows a delete that did nothing on any server; the tables also show what a delete forgot. `gate.rows_left`
    counts the list and the tables in which something is left. A target that shows neither gives no samples.
    """
    watch, found, searched, notes = Watch(), list[str](), 0, list[str]()
    for search in (_rules_left, _rows_left):
        try:
            places, left = search(target)
        except (RulesUnavailable, AdapterError, httpx.HTTPError, postgres_session.NoSession, psycopg.Error) as error:
            notes.append(f"{NOT_CHECKED}{error or type(error).__name__}")
        else:
            searched, found = searched + places, found + left
    how = f"lists and tables of the target in which something of this run is left, of {searched} searched"
    return watch.measurement(_ROWS_LEFT, len(found), "count", searched, how, [*found, *notes])


def not_searched(why: str) -> Measurement:
    """Return `gate.rows_left` without samples: the gate could not remove its traces: no fault of a delete."""
    return Watch().measurement(_ROWS_LEFT, 0, "count", 0, "what the run left in the target", (f"{NOT_CHECKED}{why}",))


def _rules_left(target: Target) -> tuple[int, list[str]]:
    with client.client(target, keyed=False) as http:
        names = [rule["rule_name"] for rule in _rules(http, target) if rule["rule_name"].startswith(target.key)]
    return 1, [f"GET {_CONFIG}: {len(names)} deleted rules are still listed: {', '.join(names)}"] if names else []


def _rows_left(target: Target) -> tuple[int, list[str]]:
    found = []
    query = sql.SQL("SELECT count(*) FROM {} AS t WHERE strpos(t::text, %s) > 0")
    with postgres_session.session(target) as session:
        tables = [table for (table,) in session.execute(_TABLES)]
        for table in tables:
            for (count,) in session.execute(query.format(sql.Identifier(table)), (target.key,)):
                found += [f"{table}: {count} rows"] if count else []
    return len(tables), found


def listed(target: Target) -> list[dict[str, Any]]:
    """Return the rules of the target. Raises httpx.HTTPError and RulesUnavailable."""
    with client.client(target, keyed=False) as http:
        return _rules(http, target)


def _rules(http: httpx.Client, target: Target) -> list[dict[str, Any]]:
    """Return the rules that the server lists. A server that ignores `offset` returns the same page repeatedly."""
    found: dict[int, dict[str, Any]] = {}
    while True:
        response = rules.send(http, "GET", _CONFIG, params={"limit": 100, "offset": len(found)})
        if response.status_code != 200:
            raise RulesUnavailable(
                f"GET {_CONFIG} answered {response.status_code} instead of 200 ({_settings(target)})"
            )
        page = _page(target, response)
        new = page.keys() - found.keys()
        found |= page
        if len(page) < 100 or not new:
            return list(found.values())


def _page(target: Target, response: httpx.Response) -> dict[int, dict[str, Any]]:
    try:
        return {rule["id"]: rule for rule in response.json()["items"] if isinstance(rule["rule_name"], str)}
    except (ValueError, LookupError, TypeError) as error:
        raise RulesUnavailable(
            f"GET {_CONFIG} answered no list of rules in `items`, each with `id` and `rule_name` ({_settings(target)})"
        ) from error


def _settings(target: Target) -> str:
    return (
        "check ADMIN_TOKEN; if the server uses other names, map them with [contract.paths] "
        f"and [contract.fields] in {target.environment}.toml"
    )

"""Every reported figure is compared with what was sent: faults in the server's own source."""

from pathlib import Path

import pytest

from gaia_checks.model import Measurement, Target
from gaia_checks.probes.figures import figures_probe
from tests.probes.conftest import announce
from tests.probes.servers import real
from tests.support import patched
from tests.support.patched import Change

_QUERIES = "gaia_server/storage/queries.py"
_STORE = "gaia_server/storage/store.py"
_LIMITER = "migrations/050_rate_limiting.sql"

_RESET = """
        text = generate_latest(self._registry)
        for each in self.requests._metrics.values():
            each._value.set(0)
        return text
"""

FAULTS: dict[str, tuple[Change, str, str]] = {
    "a minute's usage includes the request under way": (
        (_QUERIES, "SELECT w.used, w.resets_at", "SELECT w.used + 1 AS used, w.resets_at"),
        "usage",
        "used is 6 instead of 5",
    ),
    "what remains ignores what was used": (
        (_QUERIES, "greatest(e.effective_limit - u.used, 0) AS remaining", "e.effective_limit AS remaining"),
        "usage",
        "remaining is 5 instead of 0",
    ),
    "a refusal is recorded twice": (
        (
            _LIMITER,
            "date_trunc('second', moment), moment, h.hits\n",
            "date_trunc('second', moment), moment, 2 * h.hits\n",
        ),
        "violations",
        "6 hits instead of 3",
    ),
    "a second refusal in a second is not recorded": (
        (_LIMITER, "DO UPDATE SET hits = v.hits + excluded.hits,", "DO UPDATE SET hits = v.hits,"),
        "violations",
        " hits instead of 3",
    ),
    "violations name the client without its scope": (
        (
            _QUERIES,
            "c.limit_value, page.key, page.resource_type,",
            "c.limit_value, split_part(page.key, ':', 2) AS key, page.resource_type,",
        ),
        "violations",
        "key is 'client-",
    ),
    "times are those of another zone": (
        (
            _QUERIES,
            "        page.occurred_at, page.last_at",
            "        page.occurred_at + interval '1 hour' AS occurred_at, page.last_at",
        ),
        "violations",
        "occurred_at is ",
    ),
    "denied requests are counted twice": (
        (_STORE, "denied = s.denied + excluded.denied", "denied = s.denied + 2 * excluded.denied"),
        "analytics",
        "denied",
    ),
    "only the newest decisions of a minute are counted": (
        (
            _STORE,
            "SET admitted = s.admitted + excluded.admitted, denied = s.denied",
            "SET admitted = excluded.admitted, denied = 0",
        ),
        "analytics",
        "denied",
    ),
    "analytics count rows instead of hits": (
        (
            _QUERIES,
            "SELECT rule_id, sum(hits)::bigint AS hits, count(DISTINCT key)",
            "SELECT rule_id, count(*)::bigint AS hits, count(DISTINCT key)",
        ),
        "analytics",
        "hits is ",
    ),
    "pushed violations count the first refusal twice": (
        ("gaia_server/push/violations.py", "    hits: int = 0\n", "    hits: int = 1\n"),
        "websocket",
        "violation messages of ",
    ),
    "the number of requests stands still": (
        ("gaia_server/app_state.py", '"requests": self.requests,', '"requests": 0,'),
        "websocket",
        "requests rose by 0",
    ),
    "disabled rules count as rules": (
        ("gaia_server/app_state.py", '"rules": self.observed.rules,', '"rules": self.observed.rules + 1,'),
        "websocket",
        "stats: rules is ",
    ),
    "the second page begins one row late": (
        (_STORE, "OFFSET %(offset)s) AS page", "OFFSET %(offset)s + (%(offset)s > 0)::int) AS page"),
        "lists",
        "page by page: ",
    ),
    "the last row of a page is the first of the next": (
        (_STORE, "OFFSET %(offset)s) AS page", "OFFSET greatest(%(offset)s - 1, 0)) AS page"),
        "lists",
        "are repeated",
    ),
    "the total is that of the page": (
        (_STORE, 'max(count["total"], offset + len(items) if items else 0)', "offset + len(items)"),
        "lists",
        "page by page: ",
    ),
    "a filter is not applied": (
        (_QUERIES, '"enabled": "enabled = %(enabled)s"', '"enabled": "%(enabled)s IS NOT NULL"'),
        "lists",
        "includes ",
    ),
    "a filter excludes everything newer": (
        (_QUERIES, '"key": "key = %(key)s"', '"key": "key LIKE %(key)s || \'_%%\'"'),
        "lists",
        "lost ",
    ),
    "a scrape resets a counter": (
        (
            "gaia_server/metrics.py",
            "        return generate_latest(self._registry)\n",
            _RESET,
        ),
        "counters",
        "went from ",
    ),
    "a refusal does not say when to come back": (
        ("gaia_server/limiting/ratelimit_headers.py", 'found["Retry-After"] =', 'found["X-Retry-After"] ='),
        "refusals",
        "Retry-After is ''",
    ),
}
"""A developer's mistake -> the change, the figure that is wrong by it, and how its note says so."""


def look(at: Target) -> dict[str, Measurement]:
    """Run the probe and return its measurements, without the prefix of their names."""
    return {observed.name.removeprefix("figures."): observed for observed in figures_probe.probe(at)}


def wrong(observed: dict[str, Measurement]) -> dict[str, tuple[str, ...]]:
    """Return the notes of every measurement that is not good."""
    return {name: each.notes for name, each in observed.items() if each.value != each.n or not each.n}


def test_the_real_server_reports_what_was_sent(server: Target) -> None:
    """Each figure is right, and many are compared."""
    observed = look(server)
    assert wrong(observed) == {}
    assert {name: each.n >= 6 for name, each in observed.items()} == dict.fromkeys(observed, True)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_wrong_figure_is_named(postgres: str, tmp_path: Path, fault: str) -> None:
    """The note says what is reported, and what was sent."""
    change, figure, said = FAULTS[fault]
    program, migrations = patched.source(tmp_path / "source", change)
    with (
        patched.migrated(postgres, "figures", migrations) as dsn,
        real(program, dsn, tmp_path / "server.log") as server,
    ):
        announce(server)
        notes = wrong(look(server))
    assert any(said in note for note in notes[figure]), notes

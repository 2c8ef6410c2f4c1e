"""Every reported figure is compared with what was sent: faults in the server's own source."""

from pathlib import Path
from typing import cast

import psycopg
import pytest
from websockets.sync.client import ClientConnection

from gaia_checks.errors import Inconclusive
from gaia_checks.model import Measurement, Target
from gaia_checks.probes.figures import figures_probe, live_figures
from gaia_checks.probes.figures.live_figures import Live
from tests.probes.conftest import announce
from tests.probes.servers import real, target
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
        ("gaia_server/storage/push_messages.py", '"hits": row["hits"]}', '"hits": row["hits"] + 1}'),
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
    "the alert fires above another number than it says": (
        (
            "gaia_server/push/alerts.py",
            '"threshold": self.threshold,\n            "c',
            '"threshold": 10 * self.threshold,\n            "c',
        ),
        "websocket",
        "violations_per_minute has {'threshold': 1000, 'window_s': 60}, should be ",
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

_HITS = "DO UPDATE SET hits = v.hits + excluded.hits, last_at = greatest(v.last_at, excluded.last_at);"
_BY_RESOURCE = """sum(denied)::bigint AS denied
        FROM rate_limit_stats WHERE minute >= %(since)s{} AND minute < %(before)s
        GROUP BY resource_type"""
_DECIDED = '        self.metrics.decision(principal.scope, "admitted" if decision.admitted else "denied").inc()\n'
_EACH = "        for standing in decision.standings:\n            self.metrics.decided"

TOGETHER: dict[str, tuple[tuple[Change, str, str], ...]] = {
    "ends and parts": (
        (
            (_LIMITER, ", t.oldest_at + w.span\n", ", CASE WHEN t.oldest_at IS NOT NULL THEN b.last_at END + w.span\n"),
            "usage",
            "resets_at moved from ",
        ),
        ((_LIMITER, _HITS, "DO UPDATE SET hits = v.hits + excluded.hits;"), "violations", "last_at is still "),
        ((_QUERIES, '"key": "key = %(key)s"', '"key": "starts_with(key, %(key)s)"'), "lists", "includes "),
        (
            (
                "gaia_server/analytics.py",
                'row["hits"] / hits}',
                'row["hits"] / max(counted["admitted"] + counted["denied"], hits)}',
            ),
            "analytics",
            "share is ",
        ),
        (
            ("gaia_server/app_state.py", _DECIDED + _EACH, _EACH.replace("\n", "\n    " + _DECIDED)),
            "counters",
            "gaia_rate_limit_decisions_total rose by ",
        ),
    ),
    "sums and order": (
        ((_LIMITER, _HITS, _HITS.replace("v.hits + excluded.hits", "v.hits + 1")), "violations", " hits instead of 13"),
        (
            (
                _QUERIES,
                '"occurred_at DESC, id DESC",\n    """\n    SELECT page.id, page.rule_id',
                '"occurred_at, id",\n    """\n    SELECT page.id, page.rule_id',
            ),
            "lists",
            "not newest first",
        ),
        (
            (_QUERIES, _BY_RESOURCE.format(""), _BY_RESOURCE.format(" - 59 * (%(before)s - %(since)s)")),
            "analytics",
            "of by_resource sum up to ",
        ),
    ),
    "now and meanwhile": (
        (
            (
                "gaia_server/live.py",
                "(current - observed.requests_per_second) * 0.2\n",
                "(current - observed.requests_per_second) * 0.01\n",
            ),
            "websocket",
            "stats: requests_per_second went from ",
        ),
        (
            (
                "gaia_server/live.py",
                "        server.counts.subtract(taken)\n",
                "        await asyncio.sleep(0.3)\n        server.counts.clear()\n",  # as with a slow disk
            ),
            "analytics",
            "gaia_rate_limit_decisions_total was ",
        ),
    ),
    "rows and counters": (
        (
            (_LIMITER, "date_trunc('second', moment), moment, h.hits\n", "moment, moment, h.hits\n"),
            "violations",
            "one per second",
        ),
        (
            (
                _QUERIES,
                "lower(concat(rule_name, ' ', scope_value)), lower(%(search)s)",
                "concat(rule_name, ' ', scope_value), %(search)s",
            ),
            "lists",
            "0 items, total 0, instead of 1",
        ),
        (
            (
                "gaia_server/metrics.py",
                "        self._counts = {key: count for key, count in self._counts.items() if key[0] in rule_ids}\n",
                "        if any(key[0] not in rule_ids for key in self._counts):\n            self._counts = {}\n",
            ),
            "counters",
            "when another rule was removed",
        ),
    ),
}
"""Mistakes that are made together, as each is named by a note of its own."""

_OLDER = """
INSERT INTO rate_limit_stats (minute, scope, resource_type, admitted, denied)
    VALUES (date_trunc('minute', now()) - interval '10 minutes', 'ip', 'config', 10, 5)
"""


RATE_PER_S = 150
"""Of the load in the environment that a developer has."""


def look(at: Target) -> dict[str, Measurement]:
    """Run the probe and return its measurements, without the prefix of their names."""
    return {
        observed.name.removeprefix("figures."): observed for observed in figures_probe.probe(at, rate_per_s=RATE_PER_S)
    }


def wrong(observed: dict[str, Measurement]) -> dict[str, tuple[str, ...]]:
    """Return the notes of every measurement that is not good."""
    return {name: each.notes for name, each in observed.items() if each.value != each.n or not each.n}


def test_the_real_server_reports_what_was_sent(server: Target) -> None:
    """Each figure is right, and many are compared."""
    observed = look(server)
    assert wrong(observed) == {}
    assert {name: each.n >= 6 for name, each in observed.items()} == dict.fromkeys(observed, True)


def test_metrics_that_cannot_be_read_are_not_right(postgres: str, tmp_path: Path) -> None:
    """Nothing was compared, so the counters have no samples; the other figures are right."""
    change = ("gaia_server/metrics.py", "        return generate_latest(self._registry)\n", "        return b'odd {'\n")
    assert notes_with(postgres, tmp_path, change) == {
        "counters": ("not checked: no two answers of GET /metrics are known to be of one process",)
    }


def test_a_wrong_figure_is_looked_at_again_after_the_next_stats(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server may sum up its figures every second; one that stays wrong is named, also when no stats come."""

    def none_come(_: Live) -> None:
        raise Inconclusive("no stats")

    live, found = Live(target("http://127.0.0.1:9"), cast("ClientConnection", None)), iter(["3 of 16", None])
    monkeypatch.setattr(Live, "last", lambda _: None)
    assert live_figures.settled(live, lambda: next(found)) is None
    assert live_figures.settled(live, lambda: "3 of 16") == "3 of 16"
    monkeypatch.setattr(Live, "last", none_come)
    assert live_figures.settled(live, lambda: "3 of 16") == "3 of 16"


@pytest.mark.parametrize("fault", FAULTS)
def test_a_wrong_figure_is_named(postgres: str, tmp_path: Path, fault: str) -> None:
    """The note says what is reported, and what was sent."""
    change, figure, said = FAULTS[fault]
    notes = notes_with(postgres, tmp_path, change)
    assert any(said in note for note in notes[figure]), notes


@pytest.mark.parametrize("faults", TOGETHER)
def test_each_of_several_wrong_figures_is_named(postgres: str, tmp_path: Path, faults: str) -> None:
    """A wrong figure does not hide another."""
    notes = notes_with(postgres, tmp_path, *(change for change, _, _ in TOGETHER[faults]))
    missed = {said for _, figure, said in TOGETHER[faults] if not any(said in note for note in notes.get(figure, ()))}
    assert not missed, notes


def notes_with(postgres: str, folder: Path, *changes: Change) -> dict[str, tuple[str, ...]]:
    """Return what the probe says of a server with these changes, which also has decisions of ten minutes ago."""
    program, migrations = patched.source(folder / "source", *changes)
    with patched.migrated(postgres, "figures", migrations) as dsn:
        with psycopg.connect(dsn) as connection:
            connection.execute(_OLDER)
        with real(program, dsn, folder / "server.log") as server:
            announce(server)
            return wrong(look(server))

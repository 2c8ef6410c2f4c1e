"""Whether the analytics have every decision, and in every part those of the requested time only.

What is stored is moved back by hours, so that it is old at once; a server that starts then reports it.
"""

import asyncio
import contextlib
import itertools
import threading
from datetime import timedelta
from typing import Any

from psycopg import sql

from gaia_checks.errors import Inconclusive, TargetUnreachable
from gaia_checks.model import NOT_CHECKED, Measurement, Target
from gaia_checks.probes.rehearsal import moved_admissions, passing_clients
from gaia_checks.probes.rehearsal.copy_protocol import BareCopyProtocol, OwnServerProtocol
from gaia_checks.probes.rehearsal.counted_rules import Counting, counting
from gaia_checks.target import prometheus_text
from gaia_checks.target.client import client
from gaia_checks.target.responses import ANALYTICS, METRICS, QUOTAS
from gaia_checks.target.samples import Score, Watch

STORED = "figures.stored"
UNITS = {STORED: "count"}

_LASTS_S, _PER_S = 4.5, 500  # longer than the 2 s after which a server stores its decisions, twice
_STORED_S = 3.5  # after which it has stored them
_TRIES, _SUMS, _AGAIN_S = 4, 2, 1.0
_BACK = timedelta(hours=3)
_HOUR, _DAY = 60, 24 * 60  # minutes
_PARTS = ("decisions", "by_resource", "by_scope")
_DECISIONS = "gaia_rate_limit_decisions_total"
_TIMES = """
    SELECT table_name::text, array_agg(column_name::text) FROM information_schema.columns
    JOIN information_schema.tables USING (table_schema, table_name)
    WHERE table_schema = 'public' AND table_type = 'BASE TABLE' AND data_type = 'timestamp with time zone'
    GROUP BY table_name
"""


def stored(place: BareCopyProtocol, server: OwnServerProtocol, over: threading.Event) -> Measurement:
    """Send a stream of requests; look for it in the analytics now, and once it is hours old. Raises GaiaError."""
    watch, score = Watch(), Score()
    how = f"decisions in the analytics: all that were made, and by parts, once they were moved back by {_BACK}"
    with counting(server.target) as counts:
        counts.known()
        _send(server.target, over)
        found, lost = _found(counts, server.target, over)
    for each in lost:
        score.add(each)
    _move_back(server.target)
    later = place.start().target
    with client(later) as http:
        counts = Counting(http, later)
        recent, whole = (_decided(_analytics(counts, each, over)["totals"]) for each in (_HOUR, _DAY))
        moved = recent < found <= whole
        for minutes, part in itertools.product((_HOUR, _DAY), _PARTS) if moved else ():
            score.add(_wrong_sum(counts, minutes, part, over))
    if not moved and not score.wrong:
        why = f"{NOT_CHECKED}what the analytics report did not move with the times in the database"
        return watch.measurement(STORED, 0, "count", 0, how, (why,))
    return watch.counted(STORED, score, how)


def _found(counts: Counting, target: Target, over: threading.Event) -> tuple[int, list[str | None]]:
    """Return the decisions in the analytics, and the fault if some are missing for good: a slow machine stores late.

    A server whose metrics do not have them is not compared.
    """
    for _ in range(_TRIES):
        counted = _decisions(target)
        if over.wait(_STORED_S):
            raise Inconclusive("the gate was over before the analytics were looked at")
        found = _decided(_analytics(counts, _HOUR, over)["totals"])
        if found >= counted:
            return found, [None] if counted else []
    lost = f"GET {ANALYTICS} has {found} decisions, of {counted:g} that {_DECISIONS} had {_STORED_S:g} s before"
    return found, [lost]


def _send(target: Target, over: threading.Event) -> None:
    path, pause_s = f"{QUOTAS}/gaia-figures", passing_clients.AT_ONCE / _PER_S
    asyncio.run(passing_clients.repeat(target, path, int(_LASTS_S * _PER_S), over, pause_s))


def _decisions(target: Target) -> float:
    with client(target, keyed=False) as http:
        metrics = prometheus_text.read(http.get(METRICS).text)
    return sum(metrics.total(_DECISIONS, {"decision": each}) for each in ("admitted", "denied"))


def _analytics(counts: Counting, minutes: int, over: threading.Event) -> dict[str, Any]:
    """Return an answer; a slow machine may delay the database once. Raises GaiaError."""
    for _ in range(_TRIES):
        with contextlib.suppress(TargetUnreachable):
            return dict(counts.expect(200, "GET", ANALYTICS, params={"minutes": minutes}).json())
        if over.wait(_AGAIN_S):
            raise Inconclusive("the gate was over before the analytics were looked at")
    return dict(counts.expect(200, "GET", ANALYTICS, params={"minutes": minutes}).json())


def _decided(item: dict[str, Any]) -> int:
    return int(item["admitted"]) + int(item["denied"])


def _move_back(target: Target) -> None:
    """Move every stored time. Raises Inconclusive."""
    with moved_admissions.session_of(target) as session:
        for table, columns in session.execute(_TIMES).fetchall():
            moved = (sql.SQL("{0} = {0} - {1}").format(sql.Identifier(name), _BACK) for name in columns)
            session.execute(sql.SQL("UPDATE {} SET {}").format(sql.Identifier(table), sql.SQL(", ").join(moved)))


def _wrong_sum(counts: Counting, minutes: int, part: str, over: threading.Event) -> str | None:
    """Return the fault if a part is not the whole, twice: a server may sum up each at another moment."""
    for _ in range(_SUMS):
        answer = _analytics(counts, minutes, over)
        found, total = sum(map(_decided, answer[part])), _decided(answer["totals"])
        if found == total:
            return None
        if over.wait(_AGAIN_S):
            raise Inconclusive("the gate was over before the analytics were looked at")
    return f"GET {ANALYTICS}: {part} of {minutes} min sum up to {found} decisions, totals to {total}"

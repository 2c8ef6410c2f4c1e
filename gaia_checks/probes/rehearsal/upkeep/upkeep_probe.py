"""What a server does by itself, on a rehearsal copy that nobody else uses: to its database, and to its own memory.

There every session is the server's, every object that was not there before was made by it, and memory that grows is
kept by it. Each measurement belongs to the criterion of another look.
"""

import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial

from gaia_checks.errors import GaiaError, Inconclusive
from gaia_checks.model import Measurement, Target
from gaia_checks.probes import schema_objects
from gaia_checks.probes.rehearsal.copy_measurements import not_checked, part, without_samples
from gaia_checks.probes.rehearsal.copy_protocol import BareCopyProtocol, OwnServerProtocol
from gaia_checks.probes.rehearsal.upkeep import (
    changing_audience,
    kept_connections,
    kept_memory,
    stopping,
    stored_figures,
)
from gaia_checks.probes.schema_objects import Definitions
from gaia_checks.target import postgres_session
from gaia_checks.target.client import client
from gaia_checks.target.responses import CONFIG
from gaia_checks.target.samples import Score, Watch

_SESSIONS = """
    SELECT application_name FROM pg_stat_activity
    WHERE backend_type = 'client backend' AND datname = current_database() AND pid <> pg_backend_pid()
"""
_READINGS, _POLL_S = 20, 0.1  # a session that is just being opened has no name yet
_NAMED, _UNCHANGED = "database.sessions_named", "migrations.unchanged_by_server"
UNITS: Mapping[str, str] = {
    _NAMED: "count",
    _UNCHANGED: "count",
    **kept_connections.UNITS,
    **changing_audience.UNITS,
    **kept_memory.UNITS,
    **stored_figures.UNITS,
    **stopping.UNITS,
}


@dataclass(frozen=True, slots=True)
class Upkeep:
    """A server on its own database, and the database's objects before it started."""

    place: BareCopyProtocol
    server: OwnServerProtocol
    before: Definitions
    over: threading.Event


def probe(
    target: Target,
    *,
    copy: AbstractContextManager[BareCopyProtocol],
    over: threading.Event,
    wanted: Collection[str],
) -> Iterator[Measurement]:
    """Yield the measurements for the wanted looks, as they are made.

    Without a rehearsal copy, or once the gate is over, they have no samples, but a reason. So has one alone that cannot
    be made.
    """
    missing = dict.fromkeys(name for name in UNITS if _look(name) in wanted)
    try:
        with copy as place:
            for measurement in on_copy(target, place, over, wanted):
                del missing[measurement.name]
                yield measurement
    except (GaiaError, postgres_session.NoSession) as error:
        yield from without_samples({name: UNITS[name] for name in missing}, not_checked(error))


def on_copy(
    target: Target, place: BareCopyProtocol, over: threading.Event, wanted: Collection[str]
) -> Iterator[Measurement]:
    """Start a server on the database of `place`, and look at both. Raises GaiaError, NoSession."""
    with postgres_session.session(_at(target, place)) as session:
        before = schema_objects.read(session)
    upkeep = Upkeep(place, place.start(), before, over)
    for name, look in _PARTS.items():
        if over.is_set():
            raise Inconclusive("the gate was over before this was looked at")
        if _look(name) in wanted:
            yield part(name, UNITS[name], partial(look, upkeep))


def _look(measurement: str) -> str:
    return measurement.partition(".")[0]


def _sessions_named(upkeep: Upkeep) -> Measurement:
    """Every session that a server opens must be found by its name: also the one that decides, after a request."""
    watch, tally, target = Watch(), Score(), upkeep.server.target
    with client(target) as http:
        http.get(CONFIG, params={"limit": 1})
    with postgres_session.session(target) as session:
        for _ in range(_READINGS):
            tally = Score()
            for (name,) in session.execute(_SESSIONS).fetchall():
                tally.add(None if name == "gaia_server" else f"a session of the server shows as {name!r}")
            if not tally.wrong or upkeep.over.wait(_POLL_S):
                break
    return watch.counted(_NAMED, tally, "sessions in a database that only the server uses")


def _unchanged(upkeep: Upkeep) -> Measurement:
    """Nothing but a migration changes the schema: neither a rollback nor the next migration knows anything else."""
    watch, tally = Watch(), Score()
    with postgres_session.session(upkeep.server.target) as session:
        after = schema_objects.read(session)
    for sample in schema_objects.compared(upkeep.before, after, shared=False):
        tally.add(f"after the start of the server: {sample}" if sample else None)
    how = "tables, columns, constraints, indexes, triggers and functions, before and after a server started"
    return watch.counted(_UNCHANGED, tally, how)


_PARTS: Mapping[str, Callable[[Upkeep], Measurement]] = {
    _NAMED: _sessions_named,
    _UNCHANGED: _unchanged,
    stored_figures.STORED: lambda upkeep: stored_figures.stored(upkeep.place, upkeep.server, upkeep.over),
    kept_connections.SERVED: lambda upkeep: kept_connections.others_served(upkeep.place, upkeep.over),
    changing_audience.DELIVERED: lambda upkeep: changing_audience.delivered_to_all(upkeep.server.target, upkeep.over),
    kept_memory.REQUEST: lambda upkeep: kept_memory.per_request(upkeep.server, upkeep.over),
    kept_memory.CHANGE: lambda upkeep: kept_memory.per_change(upkeep.server, upkeep.over),
    kept_connections.KEPT: lambda upkeep: kept_connections.kept_by_retention(upkeep.place, upkeep.over),
    stopping.ANSWERED: lambda upkeep: stopping.answered_before_close(upkeep.server),
}
"""Measurement -> what makes it, in this order.

The analytics come before another server decides something. The retention would wait for the lock that others wait for.
The last one ends the server.
"""


def _at(target: Target, place: BareCopyProtocol) -> Target:
    """Return a target with the database of a copy, whose server does not run yet."""
    return Target(environment=target.environment, base_url="", run=target.run, database_url=place.database_url)

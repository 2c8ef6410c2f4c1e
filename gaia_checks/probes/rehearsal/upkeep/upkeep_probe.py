"""What a server does by itself, on a rehearsal copy that nobody else uses: to its database, and to its own memory.

There every session is the server's, every object that was not there before was made by it, and memory that grows is
kept by it. Each measurement belongs to the criterion of another look.
"""

import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass

from gaia_checks.errors import GaiaError
from gaia_checks.model import NOT_CHECKED, Measurement, Target
from gaia_checks.probes import schema_objects
from gaia_checks.probes.rehearsal.copy_protocol import BareCopyProtocol, OwnServerProtocol
from gaia_checks.probes.rehearsal.moved_admissions import RETENTION
from gaia_checks.probes.rehearsal.upkeep import kept_connections, kept_memory
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
UNITS: Mapping[str, str] = {
    "database.sessions_named": "count",
    "migrations.unchanged_by_server": "count",
    **kept_connections.UNITS,
    **kept_memory.UNITS,
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

    Without a rehearsal copy, or once the gate is over, they have no samples, but a reason.
    """
    watch, missing = Watch(), {name: unit for name, unit in UNITS.items() if name.partition(".")[0] in wanted}
    try:
        with copy as place:
            for measurement in on_copy(target, place, over, wanted):
                del missing[measurement.name]
                yield measurement
    except (GaiaError, postgres_session.NoSession) as error:
        for name, unit in missing.items():
            yield watch.measurement(name, 0, unit, 0, "on a rehearsal copy", (f"{NOT_CHECKED}{error}",))


def on_copy(
    target: Target, place: BareCopyProtocol, over: threading.Event, wanted: Collection[str]
) -> Iterator[Measurement]:
    """Start a server on the database of `place`, and look at both."""
    with postgres_session.session(_at(target, place)) as session:
        before = schema_objects.read(session)
    upkeep = Upkeep(place, place.start(None, **RETENTION), before, over)
    for look, part in _PARTS.items():
        if look in wanted:
            yield from part(upkeep)


def _sessions_named(upkeep: Upkeep) -> Iterator[Measurement]:
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
    yield watch.counted("database.sessions_named", tally, "sessions in a database that only the server uses")


def _unchanged(upkeep: Upkeep) -> Iterator[Measurement]:
    """Nothing but a migration changes the schema: neither a rollback nor the next migration knows anything else."""
    watch, tally = Watch(), Score()
    with postgres_session.session(upkeep.server.target) as session:
        after = schema_objects.read(session)
    for sample in schema_objects.compared(upkeep.before, after, shared=False):
        tally.add(f"after the start of the server: {sample}" if sample else None)
    how = "tables, columns, constraints, indexes, triggers and functions, before and after a server started"
    yield watch.counted("migrations.unchanged_by_server", tally, how)


def _connections(upkeep: Upkeep) -> Iterator[Measurement]:
    yield from kept_connections.measured(upkeep.place, upkeep.server.target, upkeep.over)


def _memory(upkeep: Upkeep) -> Iterator[Measurement]:
    yield from kept_memory.measured(upkeep.server, upkeep.over)


_PARTS: Mapping[str, Callable[[Upkeep], Iterator[Measurement]]] = {
    "database": _sessions_named,
    "migrations": _unchanged,
    "connections": _connections,
    "memory": _memory,
}
"""look -> what is measured for it, in this order."""


def _at(target: Target, place: BareCopyProtocol) -> Target:
    """Return a target with the database of a copy, whose server does not run yet."""
    return Target(environment=target.environment, base_url="", run=target.run, database_url=place.database_url)

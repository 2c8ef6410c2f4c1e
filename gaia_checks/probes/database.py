"""Whether the server is connected to its database, by its /health and by PostgreSQL."""

import httpx

from gaia_checks.errors import TargetUnreachable
from gaia_checks.model import Measurement, Target
from gaia_checks.target import health_body, postgres_session
from gaia_checks.target.client import client
from gaia_checks.target.samples import Watch

_SESSIONS = """
    SELECT count(*) FROM pg_stat_activity
    WHERE application_name = 'gaia_server' AND datname = current_database()
"""


def probe(target: Target) -> list[Measurement]:
    """Measure `database.health_says_connected` and `database.server_sessions`.

    Raises TargetUnreachable when the server does not answer.
    """
    watch = Watch()
    return [_reported_by_server(target, watch), _sessions_in_postgresql(target, watch)]


def _reported_by_server(target: Target, watch: Watch) -> Measurement:
    try:
        with client(target) as http:
            response = http.get(health_body.PATH)
    except httpx.TransportError as error:
        raise TargetUnreachable(
            f"{target.base_url}: no answer to GET {health_body.PATH} ({error}); is it running?"
        ) from error
    connected = response.status_code == 200 and health_body.database_connected(health_body.read(response))
    notes = () if connected else (f"GET {health_body.PATH}: status {response.status_code}, {response.text}",)
    return watch.measurement(
        "database.health_says_connected", connected, "bool", 1, "checks.database of GET /health", notes
    )


def _sessions_in_postgresql(target: Target, watch: Watch) -> Measurement:
    name, how = "database.server_sessions", "sessions of gaia_server in pg_stat_activity, in the target's database"
    try:
        with postgres_session.session(target) as session:
            row = session.execute(_SESSIONS).fetchone()
    except postgres_session.NoSession as error:
        return watch.measurement(name, 0, "count", 0, how, (str(error),))
    return watch.measurement(name, row[0] if row else 0, "count", 1, how)

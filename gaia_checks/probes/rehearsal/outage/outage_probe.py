"""Whether a server bears the outages of its database: stopped, restarted, out of connections, frozen.

All on a rehearsal copy; `outage_trial` observes each outage.
"""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager

import httpx

from gaia_checks.errors import Inconclusive
from gaia_checks.model import Measurement, Target
from gaia_checks.probes.rehearsal.copy_measurements import measured_on, part
from gaia_checks.probes.rehearsal.copy_protocol import BareCopyProtocol
from gaia_checks.probes.rehearsal.counted_rules import CountedRule, Counting
from gaia_checks.probes.rehearsal.outage import counted_undecided, outage_trial
from gaia_checks.probes.rehearsal.outage.outage_clients import REFUSED, send
from gaia_checks.probes.rehearsal.outage.outage_trial import LONG, PATIENCE_S, SHORT, OutageServers, OutagesObserved
from gaia_checks.target import postgres_session
from gaia_checks.target.client import client
from gaia_checks.target.samples import Watch

SETTING = "RATE_LIMIT_ON_DB_DOWN"

_FROZEN = "frozen"
"""The outage that ends no session: only after it can one be left over."""

_LIMIT = 60  # for each outage; its clients use it up
_STEADY_S = 0.5
_POLLS = 10  # at least, however slow this machine is
_SESSIONS = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'gaia_server'"
_MEASURED = {
    "outage.answers": "count",
    "outage.health": "count",
    "outage.recovery": "s",
    "outage.beyond_limit": "count",
    "outage.sessions_leaked": "count",
    counted_undecided.NAME: "count",
}


def probe(
    _target: Target, *, copy: AbstractContextManager[BareCopyProtocol], over: threading.Event
) -> list[Measurement]:
    """Measure `outage.*`, all on a rehearsal copy; without one, or once the gate is over, there is only a reason."""
    return measured_on(copy, _MEASURED, lambda place: on_copy(place, over))


def on_copy(place: BareCopyProtocol, over: threading.Event) -> list[Measurement]:
    """Start a server for each setting, let the database fail in each way, and look at every answer."""
    watch, observed, before, undecided = Watch(), OutagesObserved(), list[int | None](), list[Measurement]()
    outages = {
        LONG: place.stopped,
        SHORT: place.stopped,
        "out of connections": place.out_of_connections,
        _FROZEN: place.frozen,
    }
    with ThreadPoolExecutor(3) as pool:
        denying, allowing, default = pool.map(lambda word: place.start(**{SETTING: word}).target, ("deny", "allow", ""))
    with client(denying) as http:
        rules, refusing = _rules(Counting(http, denying), list(outages))
    servers = OutageServers(denying, allowing, default, refusing.key, over)
    _wait_until_in_force(servers)
    for name, rule in rules.items():
        before.append(_fewest_sessions(servers, _STEADY_S))
        outage_trial.observe(name, outages[name](), servers, rule.key, observed)
        if observed.wrong:
            break
    else:
        observed.leaked = leaked(before, lambda most: _fewest_sessions(servers, PATIENCE_S, enough=most))
        undecided = [part(counted_undecided.NAME, "count", lambda: counted_undecided.measured(denying, over))]
    return [*_measurements(watch, observed), *undecided]


def _rules(counting: Counting, outages: list[str]) -> tuple[Mapping[str, CountedRule], CountedRule]:
    """Create a rule for each outage, then one that refuses everything. They are removed with the rehearsal copy."""
    counting.known()
    rules = {name: counting.rule(f"outage-{name}".replace(" ", "-"), "requests_per_hour", _LIMIT) for name in outages}
    return rules, counting.rule("outage-refusing", "requests_per_hour", 0)


def _wait_until_in_force(servers: OutageServers) -> None:
    """Wait until both servers apply the newest rule, and so all."""
    with client(servers.denying) as one, client(servers.allowing) as other:
        if not outage_trial.until(
            lambda: all(send(http, servers.refused_key).status == REFUSED for http in (one, other)),
            PATIENCE_S,
            servers.over,
        ):
            raise Inconclusive(
                f"a new rule was not in force on the rehearsal copy within {PATIENCE_S:g} s (qa.identity judges rules)"
            )


def leaked(before: Sequence[int | None], fewest_now: Callable[[int], int | None]) -> int | None:
    """Return how many sessions there are beyond the most before an outage: a server may open one later.

    `fewest_now` is given how many are few enough. None if they are not known.
    """
    known = [sessions for sessions in before if sessions is not None]
    if len(known) < len(before):
        return None
    most = max(known)
    now = fewest_now(most)
    return None if now is None else max(0, now - most)


def _fewest_sessions(servers: OutageServers, lasting_s: float, enough: int = 0) -> int | None:
    """Return the fewest sessions over some time, or the first that are few enough; None if they are not known."""
    found: list[int] = []
    deadline, polls = time.monotonic() + lasting_s, 0
    while time.monotonic() < deadline or polls < _POLLS:
        polls += 1
        if (sessions := _own_sessions(servers)) is not None:
            found.append(sessions)
            if sessions <= enough:
                break
        outage_trial.pause(servers.over)
    return min(found, default=None)


def _own_sessions(servers: OutageServers) -> int | None:
    """Return the servers' sessions in the database that are not idle in a pool: those lost, too."""
    pooled = 0
    try:
        for target in servers.all:
            with client(target) as http:
                pool = http.get("/health").json()["checks"]["database"]["pool"]
                pooled += pool["size"] - pool["in_use"]
        with postgres_session.session(servers.denying) as session:
            row = session.execute(_SESSIONS).fetchone()
    except (httpx.HTTPError, ValueError, LookupError, TypeError, postgres_session.NoSession):
        return None
    return (row[0] if row else 0) - pooled


def _measurements(watch: Watch, observed: OutagesObserved) -> list[Measurement]:
    outages = len(observed.admitted)
    slowest = max(observed.recovery_s, key=lambda name: observed.recovery_s[name])
    beyond = {name: number - _LIMIT for name, number in observed.admitted.items() if number > _LIMIT}
    return [
        watch.counted("outage.answers", observed.answers, "answers before, during and after each outage"),
        watch.counted("outage.health", observed.health, "GET /health of the servers during and after the outages"),
        watch.measurement(
            "outage.recovery",
            observed.recovery_s[slowest],
            "s",
            outages,
            "until the servers decided and listed again, without the time in which this machine was slow",
            (f"slowest after: {slowest}",),
        ),
        watch.measurement(
            "outage.beyond_limit",
            sum(beyond.values()),
            "count",
            outages,
            "admissions before, during and after each outage, against one limit",
            [f"{name}: {_LIMIT + more} requests passed a limit of {_LIMIT}" for name, more in beyond.items()],
        ),
        _sessions_measured(watch, observed.leaked),
    ]


def _sessions_measured(watch: Watch, leaked: int | None) -> Measurement:
    how = f"sessions of the servers after the database was {_FROZEN}, above those before"
    if leaked is None:
        note = "sessions were not counted: an earlier outage was not borne, or /health does not report its pool"
        return watch.measurement("outage.sessions_leaked", 0, "count", 0, how, (note,))
    note = f"{_FROZEN}: {leaked} sessions without an owner {PATIENCE_S:g} s after it"
    return watch.measurement("outage.sessions_leaked", leaked, "count", 1, how, (note,) if leaked else ())

"""What a server does by itself is seen on a copy that nobody else uses; the real server does nothing that is wrong."""

import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from gaia_checks.gate.run import gate_plan
from gaia_checks.judge import criteria_file
from gaia_checks.model import Measurement
from gaia_checks.probes.rehearsal.upkeep import upkeep_probe
from tests.probes import copies
from tests.probes.servers import target
from tests.support import altered_server
from tests.support.altered_server import Change

CHECKS = {check.measurement: check for criterion in criteria_file.load().criteria for check in criterion.checks}
HERE = target("http://127.0.0.1:9")


def look(executable: Path, folder: Path, *wanted: str) -> dict[str, Measurement]:
    """Run the probe on a copy; return its measurements by name."""
    with copies.released(executable, folder / "releases") as release, copies.bare_copy_of(release) as copy:
        found = list(upkeep_probe.on_copy(HERE, copy, threading.Event(), wanted or gate_plan.UPKEEP_FOR))
    return {each.name: each for each in found}


def wrong(found: dict[str, Measurement]) -> list[str]:
    """Return the names of the measurements that do not satisfy their check."""
    return [name for name, each in found.items() if not satisfied(each)]


def satisfied(measured: Measurement) -> bool:
    """Whether a measurement has samples enough, and satisfies its check."""
    check = CHECKS[measured.name]
    if measured.n < max(1, check.min_n):
        return False
    good = measured.value == measured.n if check.rule == "all_good" else measured.value <= check.threshold
    return bool(good)


def test_the_real_server_changes_and_keeps_nothing(executable: Path, tmp_path: Path) -> None:
    """Every measurement is made, each for a look that the gate takes the upkeep for, and satisfies its check."""
    found = look(executable, tmp_path)
    assert set(found) == set(upkeep_probe.UNITS)
    assert {name.partition(".")[0] for name in found} == set(gate_plan.UPKEEP_FOR)
    assert wrong(found) == [], found


RENAMED = ('"SET plan_cache_mode', '"SET application_name = gaia_limiter; SET plan_cache_mode')
OPENED = "    await server.store.open()\n"
TABLE = '    await server.store.rows("CREATE TABLE IF NOT EXISTS gaia_instances (instance text)")\n'
INDEX = '    await server.store.rows("DROP INDEX rate_limit_violations_key_idx")\n'
PUT_BACK = "        finally:\n            await self._pool.putconn(pooled)\n"
RULES_READ = "        rules = await self.store.rules()\n"
HISTORY = "        self.__dict__.setdefault('history', []).append(rules)\n"
OBSERVED = "        started, status = time.perf_counter(), 500\n"
TIMER = "        __import__('asyncio').get_running_loop().call_later(3600, self._count, scope, 504, 3600.0)\n"
DECIDED = "        self.metrics.decision_seconds.observe(time.perf_counter() - started)\n"
DURATION = "        self.__dict__.setdefault('durations', []).append(time.perf_counter() - started)\n"
PRINCIPAL = "        principal, started = self.principal(connection), time.perf_counter()\n"
HEADERS = "        self.__dict__.setdefault('recent', []).append(dict(connection.headers))\n"
WARMING = """
        warm = self.__dict__.setdefault('warm', [])
        if len(warm) < 12_000:
            warm.append(bytes(2_500))
"""
QUEUED = """        clients = list(self.clients)
        for start in range(0, len(clients), CHUNK):
            chunk = clients[start : start + CHUNK]
            for client in chunk:
                client.put(message)
            yield len(chunk)
"""
IN_TURN = """        for client in self.clients:
            client.put(message)
            yield 1
"""
LOST = "        await asyncio.sleep(0.1)  # a busy database\n        server.counts.clear()\n"
SUBTRACTED = """        server.counts.subtract(taken)
        for key in [key for key, count in server.counts.items() if not count]:
            del server.counts[key]
"""
OF_THE_TIME = "FROM rate_limit_stats WHERE minute >= %(since)s AND minute < %(before)s\n        GROUP BY resource_type"
OF_LONGER = OF_THE_TIME.replace("%(since)s AND", "%(since)s - 59 * (%(before)s - %(since)s) AND")
LATER = "self.loop.call_later(SHUTDOWN_GRACE_S, self._close_unless_busy)"


@pytest.mark.parametrize(
    ("changes", "name", "said"),
    [
        (
            [("limiting/decide.py", *RENAMED)],
            "database.sessions_named",
            "a session of the server shows as 'gaia_limiter'",
        ),
        (
            [("live.py", OPENED, OPENED + TABLE)],
            "migrations.unchanged_by_server",
            "gaia_instances.instance is not the release",
        ),
        (
            [("live.py", OPENED, OPENED + INDEX)],
            "migrations.unchanged_by_server",
            "index rate_limit_violations.rate_limit_violations_key_idx is missing",
        ),
        (
            [("storage/store.py", "POOL_SIZE = 10", "POOL_SIZE = 1"), ("storage/store.py", "min_size=2", "min_size=1")],
            "connections.others_served",
            "it waited for them",
        ),
        (
            [("storage/store.py", 'found.get("requests_waiting", 0), POOL_SIZE)', "0, found.get('pool_min', 0))")],
            "connections.others_served",
            "gaia_database_pool_max is 2, and ",
        ),
        ([("storage/store.py", PUT_BACK, "")], "connections.kept_by_retention", "by 3 runs of the retention"),
        ([("app_state.py", RULES_READ, RULES_READ + HISTORY)], "memory.kept_per_change", "MB"),
        ([("http/app.py", OBSERVED, OBSERVED + TIMER)], "memory.kept_per_request", "MB"),
        ([("app_state.py", PRINCIPAL, PRINCIPAL + HEADERS)], "memory.kept_per_request", "MB"),
        ([("app_state.py", DECIDED, DECIDED + DURATION)], "memory.kept_per_request", "MB"),
        ([("push/hub.py", QUEUED, IN_TURN)], "soak.delivered_to_all", "of 20 clients"),
        (
            [("live.py", SUBTRACTED, LOST)],
            "figures.stored",
            "that gaia_rate_limit_decisions",
        ),
        ([("storage/queries.py", OF_THE_TIME, OF_LONGER)], "figures.stored", "by_resource of 60 min sum up to "),
        (
            [("http/bounded_protocol.py", LATER, "self.transport.close()")],
            "shutdown.answered_before_close",
            "/livez got ",
        ),
    ],
    ids=[
        *("session", "table", "index", "pool", "maximum", "retention", "rules", "timers", "headers", "durations"),
        *("broadcast", "lost", "hours", "idle"),
    ],
)
def test_what_a_server_changes_or_keeps_is_found(
    tmp_path: Path, changes: Sequence[Change], name: str, said: str
) -> None:
    """Its measurement alone does not satisfy its check, and says what was seen."""
    found = look(altered_server.write(tmp_path / "altered", *changes), tmp_path, name.partition(".")[0])
    assert wrong(found) == [name], found
    assert said in found[name].notes[0]


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ([("app_state.py", PRINCIPAL, WARMING + PRINCIPAL)], "memory.kept_per_request"),
        ([("storage/store.py", "POOL_SIZE = 10", "POOL_SIZE = 3")], "connections.others_served"),
    ],
    ids=["30 MB in the first 12,000 requests", "a pool of three"],
)
def test_a_server_that_is_only_different_is_not_blamed(tmp_path: Path, changes: Sequence[Change], name: str) -> None:
    """A runtime may warm up for long, and a pool may be small."""
    found = look(altered_server.write(tmp_path / "altered", *changes), tmp_path, name.partition(".")[0])
    assert wrong(found) == [], found


def test_a_part_that_cannot_be_looked_at_leaves_the_others(tmp_path: Path) -> None:
    """It has the reason, and no samples: here a refused change of a rule, and an answer of another shape."""
    changes = (
        (
            "http/admin_api.py",
            "    before = await _unchanged(request, asdict(wanted))\n    if not c",
            "    raise Problem(501, '')\n    if not c",
        ),
        ("analytics.py", '"totals": counted', '"sums": counted'),
    )
    found = look(altered_server.write(tmp_path / "altered", *changes), tmp_path)
    assert set(found) == set(upkeep_probe.UNITS)
    assert wrong(found) == ["figures.stored", "memory.kept_per_change"], found
    assert {found[name].n for name in wrong(found)} == {0}
    assert "PUT /api/admin/quotas/config/" in found["memory.kept_per_change"].notes[0]
    assert found["figures.stored"].notes == ("not checked: KeyError 'totals'",)


def test_only_what_is_wanted_is_measured(executable: Path, tmp_path: Path) -> None:
    """A gate of the stage dev measures nothing for prod."""
    assert set(look(executable, tmp_path, "database", "health")) == {"database.sessions_named"}

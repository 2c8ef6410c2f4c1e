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
    """Every measurement is made, and satisfies its check."""
    found = look(executable, tmp_path)
    assert set(found) == set(upkeep_probe.UNITS)
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
    ],
    ids=["session", "table", "index", "pool", "maximum", "retention", "rules", "timers", "headers", "durations"],
)
def test_what_a_server_changes_or_keeps_is_found(
    tmp_path: Path, changes: Sequence[Change], name: str, said: str
) -> None:
    """Its measurement alone does not satisfy its check, and says what was seen."""
    found = look(altered_server.write(tmp_path / "altered", *changes), tmp_path, name.partition(".")[0])
    assert wrong(found) == [name], found
    assert said in found[name].notes[0]


def test_only_what_is_wanted_is_measured(executable: Path, tmp_path: Path) -> None:
    """A gate of the stage dev measures nothing for prod."""
    assert set(look(executable, tmp_path, "database", "health")) == {"database.sessions_named"}

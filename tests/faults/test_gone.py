"""Sudden failures: the process, its database, the whole target."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from gaia_checks.deploy.supervisor.spawn import free_port
from tests.faults.place import Place, place
from tests.faults.table import SHORT
from tests.support.ground import ground, until


@pytest.fixture
def here() -> Iterator[Place]:
    """A deployment that a test may destroy."""
    with place() as made:
        yield made


def test_a_server_that_is_killed_at_any_time_is_detected(here: Place) -> None:
    """A restarted process is not the one observed before."""
    process = here.status.process
    assert process is not None
    gate = here.start(SHORT)
    until(lambda: "health.good" in here.ground.measured())
    os.kill(process.pid, signal.SIGKILL)
    output, _ = gate.communicate(timeout=90)
    assert gate.returncode == 1, output
    assert "✗ fail           dev.process" in output, output


def test_a_stopped_database_is_named(here: Place) -> None:
    """Without the database no criterion that needs it passes, first of all its own."""
    with here.connect_superuser() as database:
        row = database.execute(
            "SELECT pg_read_file('postmaster.pid', 0, 20), current_setting('data_directory')"
        ).fetchone()
    assert row is not None
    (Path(row[1]) / "global" / "pg_control").rename(Path(row[1]) / "pg_control.away")  # it cannot be restarted
    os.kill(int(str(row[0]).split()[0]), signal.SIGINT)
    outcome = here.gate(SHORT)
    assert outcome.code in (1, 8), outcome.output
    assert outcome.states["dev.database"] != "pass"
    assert "dev.database" in outcome.output


def test_an_unreachable_target_is_inconclusive() -> None:
    """Without a listener no criterion passes or fails, and each has a reason."""
    with ground() as made:
        outcome = made.gate(made.environment_file(base_url=f"http://127.0.0.1:{free_port()}"))
    assert outcome.code == 8, outcome.output
    assert set(outcome.states.values()) == {"inconclusive"}
    assert "dev.health" in outcome.output

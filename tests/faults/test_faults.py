"""Each fault, tried for real, makes the gate end red and name exactly the criterion it breaks."""

import contextlib
import json
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import psycopg
import pytest

from gaia_checks import environment
from gaia_checks.deploy import rollout
from tests.faults import server
from tests.ground import ROOT, Ground, free_port, ground, until


class Place:
    """A faulty server that is deployed, and the ways to break it."""

    def __init__(self, place: Ground, switch: Path) -> None:
        self.ground = place
        self.file = place.environment_file(base_url=place.url)
        self._switch = switch

    @contextlib.contextmanager
    def switched(self, fault: str) -> Iterator[None]:
        """Turn a fault of the server on."""
        self._switch.write_text(fault)
        try:
            yield
        finally:
            self._switch.write_text("")

    @contextlib.contextmanager
    def migration_forgotten(self) -> Iterator[None]:
        """Take the last migration out of the record, as if its file had never been applied."""
        status = rollout.status(environment.load(str(self.file), variables=self.ground.variables))
        assert status.database_url is not None
        with psycopg.connect(status.database_url, autocommit=True) as database:
            row = database.execute(
                "DELETE FROM schema_migrations WHERE version = '050_phase2_reputation' RETURNING *"
            ).fetchone()
            assert row is not None
            try:
                yield
            finally:
                marks = ", ".join(["%s"] * len(row))
                database.execute(f"INSERT INTO schema_migrations VALUES ({marks})", row)


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    """One faulty server for all faults of this file, healthy while its switch is off."""
    with ground() as made:
        executable, switch = server.write(made.folder, ROOT)
        made.deploy(executable, made.environment_file())
        yield Place(made, switch)


FAULTS: dict[str, tuple[str, str, Callable[[Place], AbstractContextManager[None]]]] = {
    "nothing": ("", "", lambda _: contextlib.nullcontext()),
    "a route answers 500": ("dev.api", "fail", lambda place: place.switched("500 /api/admin/quotas/usage")),
    "a route is lost": ("dev.api", "fail", lambda place: place.switched("404 /api/admin/quotas/analytics")),
    "health answers 500": ("dev.health", "fail", lambda place: place.switched("500 /health")),
    "heartbeats stop": ("dev.websocket", "fail", lambda place: place.switched("mute heartbeat")),
    "a migration is missing": ("dev.migrations", "fail", lambda place: place.migration_forgotten()),
    # last: a line in a log stays there
    "an error is logged": ("dev.log", "fail", lambda place: place.switched("log")),
}

ALSO_SAID_BY_HEALTH = {"dev.health": {"dev.health", "dev.database", "dev.process"}}
"""`/health` is evidence for three criteria: without it the others have less to go by."""


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_turns_its_criterion_red(place: Place, fault: str) -> None:
    """The exit code, the verdict and the terminal name the criterion; all others hold."""
    criterion, state, switched_on = FAULTS[fault]
    with switched_on(place):
        outcome = place.ground.gate(place.file)
    assert outcome.code == (1 if state == "fail" else 0), outcome.output
    assert set(outcome.not_passed()) <= ALSO_SAID_BY_HEALTH.get(criterion, {criterion}), outcome.not_passed()
    if criterion:
        assert outcome.states[criterion] == state, outcome.output
        assert criterion in outcome.output


@pytest.mark.parametrize("fault", ["404 /metrics", "frozen /metrics"])
def test_wrong_metrics_turn_the_monitoring_red(place: Place, fault: str) -> None:
    """Metrics that are lost, or that somebody remembers, are found by the one criterion that needs them."""
    with place.switched(fault):
        outcome = place.ground.gate(place.file, "--stage=prod", "-k", "test_monitoring_updated")
    assert outcome.code == 1, outcome.output
    assert [name for name, state in outcome.states.items() if state == "fail"] == ["prod.monitoring"], outcome.output


def test_a_limiter_that_lets_requests_pass_turns_rate_limiting_red(place: Place) -> None:
    """The verdict counts what was admitted beyond a limit and names the limit."""
    with place.switched("open /api/admin/quotas/nothing"):
        outcome = place.ground.gate(place.file, "--stage=qa", "-k", "test_rate_limiting_enforced")
    assert outcome.code == 1, outcome.output
    assert [name for name, state in outcome.states.items() if state == "fail"] == ["qa.rate_limiting"], outcome.output
    assert "admissions beyond a limit at least, most of them by gaia-run-" in outcome.output


def test_a_restart_during_the_gate_is_seen() -> None:
    """A server that crashes and comes back by itself is not the one that was looked at before."""
    with ground() as made:
        executable, _ = server.write(made.folder, ROOT)
        made.deploy(executable, made.environment_file())
        file = made.environment_file(base_url=made.url)
        process = rollout.status(environment.load(str(file), variables=made.variables)).process
        assert process is not None
        gate = made.start("pytest", f"--env={file}")
        until(lambda: "health.good" in made.measured())
        os.kill(process.pid, signal.SIGKILL)
        output, _ = gate.communicate(timeout=90)
        verdict = json.loads((made.latest / "verdict.json").read_text())
    assert gate.returncode == 1, output
    states = {criterion["id"]: criterion["state"] for criterion in verdict["criteria"]}
    assert states["dev.process"] == "fail", output


def test_a_stopped_database_is_named() -> None:
    """Without its database the server's criteria fail, first of all the database's."""
    with ground() as made:
        executable, _ = server.write(made.folder, ROOT)
        made.deploy(executable, made.environment_file())
        where = environment.load(str(made.environment_file(base_url=made.url)), variables=made.variables)
        database_url = rollout.status(where).database_url
        assert database_url is not None
        _break(database_url)
        outcome = made.gate(made.environment_file(base_url=made.url))
    assert outcome.code in (1, 8), outcome.output
    assert outcome.states["dev.database"] != "pass"
    assert "dev.database" in outcome.output


def _break(database_url: str) -> None:
    """End PostgreSQL so that nobody can start it again."""
    with psycopg.connect(database_url) as database:
        row = database.execute(
            "SELECT pg_read_file('postmaster.pid', 0, 20), current_setting('data_directory')"
        ).fetchone()
    assert row is not None
    (Path(row[1]) / "global" / "pg_control").rename(Path(row[1]) / "pg_control.away")
    os.kill(int(str(row[0]).split()[0]), signal.SIGINT)


def test_an_unreachable_target_is_inconclusive() -> None:
    """Nobody listens: nothing passes, nothing fails, every criterion says why."""
    with ground() as made:
        file = made.environment_file(base_url=f"http://127.0.0.1:{free_port()}")
        outcome = made.gate(file)
    assert outcome.code == 8, outcome.output
    assert set(outcome.states.values()) == {"inconclusive"}
    assert "dev.health" in outcome.output

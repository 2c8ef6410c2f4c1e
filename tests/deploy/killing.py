"""A test environment that kills deployments and rollbacks at any checkpoint, and checks the state after the repair.

The harness runs in a process forked from a preloaded one, which is fast. Harness and supervisor call `Killer` at
every checkpoint that they write; it reads from a file who is to be killed where.
"""

import fcntl
import json
import multiprocessing
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import httpx
import psycopg
import pytest

from gaia_checks import jsonl
from gaia_checks.deploy import rollout
from gaia_checks.deploy.migrations import runner
from gaia_checks.deploy.release import links, release_folder
from gaia_checks.deploy.state import deployment_ledger, paths, processes, supervisor_state
from gaia_checks.deploy.state.checkpoints import Checkpoint, Event
from gaia_checks.deploy.steps import swap
from gaia_checks.deploy.supervisor.supervised_server import MARK
from gaia_checks.environment import environment_file
from gaia_checks.files import sha256
from tests.deploy import foreign_server
from tests.deploy.conftest import make_stage
from tests.deploy.stage import Stage
from tests.support import plain_http
from tests.support.postgres import fresh

BASE = "CREATE TABLE IF NOT EXISTS items (id bigint PRIMARY KEY);\n"
PREPARE = {Checkpoint.LINT, Checkpoint.REHEARSE, Checkpoint.DUMP, Checkpoint.MIGRATE}
"""Checkpoints reached only with a pending migration, which are slow."""

MORE = "CREATE TABLE extras (id bigint PRIMARY KEY);\n"

SUPERVISE = (sys.executable, "-m", "tests.deploy.killable_supervisor")
"""The command that starts a supervisor which tests can kill at its own checkpoints."""

_FORKING = multiprocessing.get_context("forkserver")
_FORKING.set_forkserver_preload([__name__])


@dataclass(frozen=True)
class KillStage:
    """A test environment with two releases: version 1, and version 2 with one more migration."""

    stage: Stage
    handover: bool

    def run(self, kind: str, kill: tuple[str, Checkpoint, Event] | None = None) -> int:
        """Run a command in a separate process; return its exit code, negative for a signal.

        With `kill`, "harness" or "supervisor" is killed at the checkpoint.
        """
        process = _FORKING.Process(target=_command, args=(kind, self.stage, kill, self.handover))
        process.start()
        process.join(60)
        assert process.exitcode is not None
        return process.exitcode

    def ensure_serving(self, version: str, *, pending: bool) -> None:
        """Let `version` serve with the other one as previous; with `pending`, undo the migration of version 2."""
        if self.serving() != version:
            assert self.run("rollback" if self.stage.status().previous else f"deploy {version}") == 0
        with psycopg.connect(self.stage.variables["DATABASE_URL"], autocommit=True) as connection:
            if pending:
                connection.execute("DROP TABLE IF EXISTS extras")
                connection.execute("DELETE FROM schema_migrations WHERE version = '002_more'")

    def deploy_with_its_migration(self, version: str) -> None:
        """Deploy `version` with its migrations."""
        assert self.run(f"deploy {version}") == 0

    def has_extras(self) -> bool:
        """Whether the schema is the one of version 2."""
        with psycopg.connect(self.stage.variables["DATABASE_URL"]) as connection:
            return connection.execute("SELECT to_regclass('extras')").fetchone() != (None,)

    def serving(self) -> str | None:
        """The version that answers on the public port; None without a server."""
        try:
            answer = plain_http.get(f"{self.stage.url}/healthz", timeout=5, trust_env=False)
        except httpx.HTTPError:
            return None
        return answer.text.split()[-1]

    def reached(self, point: Checkpoint, event: Event) -> bool:
        """Whether the newest journal contains the checkpoint."""
        here = paths.of(self.stage.environment)
        newest = (
            here.journal if here.journal.exists() else max(here.journals.iterdir(), key=lambda p: p.stat().st_mtime)
        )
        return (point, event) in {(line.get("point"), line["event"]) for line in jsonl.read(newest)}

    def assert_consistent(self) -> None:
        """One verified server, the one in the ledger, runs; no lock and no partial file remains."""
        environment = self.stage.environment
        here, now = paths.of(environment), rollout.status(environment)
        assert now.release_dir is not None
        assert now.release_dir.name == deployment_ledger.served(environment)[-1]
        assert links.target(here.releases, "current") == now.release_dir
        assert links.target(here.releases, "previous") not in (None, now.release_dir)
        assert now.process is not None
        assert [pid for pid, _ in processes.marked(MARK, here.caches)] == [now.process.pid]
        assert release_folder.describe(now.release_dir).sha256 == sha256(
            foreign_server.build(self.stage.folder, self.serving() or "", *_flags(self.handover))
        )
        swap.verify_public(environment)
        assert not here.journal.exists()
        assert not list(here.releases.glob(".new-*"))
        assert not list(here.dumps.glob("*.new"))
        found = supervisor_state.read(here.record)
        assert found is not None
        assert found.supervisor.alive
        with here.deploy_lock.open("r+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        with psycopg.connect(self.stage.variables["DATABASE_URL"], autocommit=True) as connection:
            free = connection.execute("SELECT pg_try_advisory_lock(%s)", (runner.LOCK_KEY,)).fetchone()
            assert free == (True,)
            scratch = connection.execute("SELECT datname FROM pg_database WHERE datname LIKE 'gaia_scratch_%'")
            assert scratch.fetchall() == []
            assert connection.execute("SELECT count(*) FROM others").fetchone() == (3,)


@contextmanager
def kill_stage(postgres: str, *, handover: bool) -> Iterator[KillStage]:
    """Make an environment in which version 1 serves; the table `others` belongs to another application."""
    flag = str(handover).lower()
    with (
        pytest.MonkeyPatch.context() as patch,
        fresh(postgres) as database,
        make_stage(
            "external", server=f'[server]\nhandover = {flag}\npaths = ["/healthz"]\n', DATABASE_URL=database
        ) as stage,
    ):
        with psycopg.connect(database, autocommit=True) as connection:
            connection.execute("CREATE TABLE others AS SELECT generate_series(1, 3) AS id")
        for version, files in (("1", ("001_items",)), ("2", ("001_items", "002_more"))):
            folder = stage.folder / f"migrations-{version}"
            (folder / "rollback").mkdir(parents=True)
            (folder / "order.txt").write_text("".join(f"{name}.sql\n" for name in files))
            (folder / "001_items.sql").write_text(BASE)
            if version == "2":
                (folder / "002_more.sql").write_text(MORE)
                (folder / "rollback" / "002_more.sql").write_text("DROP TABLE extras;\n")
        patch.setattr(swap, "SUPERVISE", SUPERVISE)  # `repair` in this process may start one, too
        target = KillStage(stage, handover)
        assert [target.run(f"deploy {version}") for version in ("2", "1")] == [0, 0]
        yield target


def killed(target: KillStage, kind: str, start: str, point: Checkpoint, event: Event, victim: str) -> None:
    """Kill `victim` at a checkpoint of a command, repair, and assert a consistent state."""
    target.ensure_serving(start, pending=point in PREPARE)
    code = target.run(kind, (victim, point, event))
    assert target.reached(point, event)
    if victim == "harness":
        assert code == -signal.SIGKILL
    rollout.repair(target.stage.environment)
    target.assert_consistent()


@dataclass(frozen=True)
class Killer:
    """Kills the harness or the supervisor at one checkpoint, once, whichever of the two writes it."""

    here: paths.Paths

    @property
    def _order(self) -> Path:
        return self.here.state / "kill.json"

    def plan(self, victim: str, checkpoint: Checkpoint, event: Event) -> None:
        """Let this process, the harness, or the supervisor be killed at the checkpoint."""
        harness = asdict(supervisor_state.mine()) if victim == "harness" else None
        self._order.write_text(json.dumps({"harness": harness, "checkpoint": checkpoint, "event": event}))

    def __call__(self, checkpoint: Checkpoint, event: Event) -> None:
        """Kill if it is planned here, and return when the process has exited."""
        try:
            order = json.loads(self._order.read_text())
        except FileNotFoundError:
            return
        if (order["checkpoint"], order["event"]) != (checkpoint, event):
            return
        self._order.unlink()
        state = supervisor_state.read(self.here.record)
        supervisor = state.supervisor if state else None
        victim = supervisor_state.Running(**order["harness"]) if order["harness"] else supervisor
        if victim and victim.alive:
            os.kill(victim.pid, signal.SIGKILL)
            processes.wait_for_exit(victim.pid, victim.birth)


def _command(kind: str, stage: Stage, kill: tuple[str, Checkpoint, Event] | None, handover: bool) -> None:
    environment = environment_file.load(str(stage.file), variables=stage.variables)
    swap.SUPERVISE = SUPERVISE
    killer = Killer(paths.of(environment))
    if kill:
        killer.plan(*kill)
    word, _, version = kind.partition(" ")
    if word == "deploy":
        executable = foreign_server.build(stage.folder, version, *_flags(handover))
        migrations = stage.folder / f"migrations-{version}"
        rollout.deploy(environment, artifact=executable, migrations=migrations, on_checkpoint=killer)
    else:
        downgrade = version == "database"
        rollout.rollback(environment, database=downgrade, confirm=lambda _: True, on_checkpoint=killer)


def _flags(handover: bool) -> tuple[str, ...]:
    return ("-DHANDOVER",) if handover else ()

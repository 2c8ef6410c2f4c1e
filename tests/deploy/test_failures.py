"""Real failures of deployments: each leaves the old server serving and raises a one-line error."""

import os
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from gaia_checks.deploy import rollout
from gaia_checks.deploy.migrations import migration_files
from gaia_checks.deploy.postgres.embedded import Cluster
from gaia_checks.deploy.state import paths, processes, supervisor_state
from gaia_checks.deploy.state.checkpoints import Checkpoint, Event
from gaia_checks.deploy.supervisor.supervised_server import MARK
from gaia_checks.errors import ArtifactError, GaiaError, MigrationError, NotReady, NotWritable, VerifyError
from tests.deploy import foreign_server
from tests.deploy.conftest import make_stage
from tests.deploy.stage import Stage, lines
from tests.support.postgres import fresh

SERVER = '[server]\nhandover = true\npaths = ["/healthz"]\nready_s = 1.5\n'
HANDOVER = "-DHANDOVER"

FULL_DISK = """
import resource, sys
from pathlib import Path
from gaia_checks import cli
from gaia_checks.environment import environment_file
from gaia_checks.deploy import rollout
from gaia_checks.errors import GaiaError
where = environment_file.load(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[4]), resource.RLIM_INFINITY))
try:
    rollout.deploy(where, artifact=Path(sys.argv[2]), migrations=Path(sys.argv[3]))
except GaiaError as error:
    sys.exit(f"gaia: {error}")
"""


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """A PostgreSQL that a test may kill."""
    folder = Path(tempfile.mkdtemp(prefix="gaia-pg-"))
    folder.chmod(0o711)
    made = Cluster(folder / "pg", settings={"fsync": "off", "full_page_writes": "off"})
    try:
        made.start()
        yield made
    finally:
        made.stop()
        shutil.rmtree(folder)


@pytest.fixture(scope="module")
def old(cluster: Cluster) -> Iterator[Stage]:
    """Version 1 serves on a database with one row, before and after every test."""
    with (
        fresh(cluster.dsn("postgres", account="postgres")) as database,
        make_stage("external", server=SERVER, DATABASE_URL=database) as stage,
    ):
        deploy(stage, "1")
        with psycopg.connect(database) as connection:
            connection.execute("INSERT INTO items VALUES (7)")
        yield stage


def deploy(stage: Stage, version: str, *flags: str, migrations: Path | None = None, **options: Any) -> None:
    """Deploy a version of the foreign server."""
    executable = foreign_server.build(stage.folder, version, HANDOVER, *flags)
    rollout.deploy(stage.environment, artifact=executable, migrations=migrations or stage.migrations, **options)


def with_migration(stage: Stage, name: str, text: str) -> Path:
    """Return a folder with the environment's migrations and one more."""
    folder = stage.folder / name
    shutil.copytree(stage.migrations, folder)
    (folder / "order.txt").write_text(f"001_items.sql\n{name}.sql\n")
    (folder / f"{name}.sql").write_text(text)
    return folder


def assert_old_serves(stage: Stage, why: GaiaError | None = None) -> None:
    """Only version 1 runs and answers; the ledger records the failure and that it serves."""
    assert stage.text("/healthz") == "version 1\n"
    here, now = paths.of(stage.environment), stage.status()
    assert now.process is not None
    assert [pid for pid, _ in processes.marked(MARK, here.caches)] == [now.process.pid]
    assert not here.journal.exists()
    if why:
        assert "\n" not in str(why)
        assert lines(stage)[-1]["event"] == "failed"
        assert lines(stage)[-1]["serves"] == (now.release_dir.name if now.release_dir else None)


@pytest.mark.parametrize(
    ("flag", "kind", "words"),
    [
        (
            "-DCRASH",
            NotReady,
            r"exited with exit code 3 before it was ready; last log line: foreign server: the config",
        ),
        (
            "-DDEAF",
            NotReady,
            r"not ready within 2 s: GET /healthz: no answer within [\d.]+ s; it wrote nothing to .*candidate\.log",
        ),
        (
            "-DSICK",
            NotReady,
            r"not ready within 2 s: GET /healthz answered 404: version 2; last log line: serving version 2",
        ),
    ],
)
def test_a_server_that_does_not_become_ready(old: Stage, flag: str, kind: type[GaiaError], words: str) -> None:
    """A server that crashes at its start, hangs, or never gets ready is refused."""
    with pytest.raises(kind, match=rf"{words}.*; worktree-\w+ serves$") as caught:
        deploy(old, "2", flag)
    assert_old_serves(old, caught.value)


def test_a_migration_that_fails_on_existing_rows(old: Stage) -> None:
    """A migration that works only on an empty database is rolled back completely."""
    folder = with_migration(
        old, "002_half", "CREATE TABLE half (id bigint);\n-- squawk-ignore constraint-missing-not-valid\n"
        "ALTER TABLE items ADD CONSTRAINT small CHECK (id < 5);\n"
    )  # fmt: skip
    with pytest.raises(MigrationError, match=r"002_half\.sql: check constraint .*; nothing of this file was") as caught:
        deploy(old, "2", migrations=folder)
    assert_old_serves(old, caught.value)
    with psycopg.connect(old.variables["DATABASE_URL"]) as connection:
        assert connection.execute("SELECT to_regclass('half')").fetchone() == (None,)


def test_a_migration_that_ends_its_transaction_touches_nothing(old: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """A COMMIT that the lexer misses is found on the scratch database; the deployment is refused in one line."""
    monkeypatch.setattr(migration_files, "transaction_control", lambda _: None)
    folder = with_migration(old, "002_leak", "CREATE TABLE IF NOT EXISTS leaked (id bigint);\nCOMMIT;\nBEGIN;\n")
    with pytest.raises(MigrationError, match=r"^002_leak\.sql: ends the transaction .* serves$") as caught:
        deploy(old, "2", migrations=folder)
    assert_old_serves(old, caught.value)
    with psycopg.connect(old.variables["DATABASE_URL"]) as connection:
        assert connection.execute("SELECT to_regclass('leaked')").fetchone() == (None,)


def test_a_migration_that_breaks_the_running_server(old: Stage) -> None:
    """Squawk refuses a destructive migration before it is applied, and names the setting that allows it."""
    folder = with_migration(old, "002_gone", "DROP TABLE items;\n")
    with pytest.raises(
        MigrationError, match=r"002_gone\.sql:1: ban-drop-table: .*allow = \[\"ban-drop-table\"\]"
    ) as caught:
        deploy(old, "2", migrations=folder)
    assert_old_serves(old, caught.value)


def test_a_contract_migration_requires_an_earlier_deployment_of_the_expansion(old: Stage) -> None:
    """Expansion and contraction in one deployment are refused: the running server does not know the expansion."""
    folder = with_migration(old, "003_contract", "-- gaia: contract\nDROP TABLE items;\n")
    (folder / "order.txt").write_text("001_items.sql\n002_added.sql\n003_contract.sql\n")
    (folder / "002_added.sql").write_text("CREATE TABLE added (id bigint PRIMARY KEY);\n")
    with pytest.raises(
        MigrationError, match=r"003_contract removes schema .* deploy a release with 002_added first"
    ) as caught:
        deploy(old, "2", migrations=folder)
    assert_old_serves(old, caught.value)


def test_the_wrong_architecture(old: Stage) -> None:
    """A program for another architecture is refused before anything starts."""
    program = bytearray(foreign_server.build(old.folder, "2", HANDOVER).read_bytes())
    struct.pack_into("<H", program, 18, 22)  # an s390x
    path = old.folder / "elsewhere"
    path.write_bytes(program)
    path.chmod(0o755)
    with pytest.raises(
        ArtifactError, match=r"gaia_server: built for s390x, but this machine is \w+; build it for"
    ) as caught:
        rollout.deploy(old.environment, artifact=path, migrations=old.migrations)
    assert_old_serves(old, caught.value)


@pytest.mark.parametrize(("limit_bytes", "words"), [(10_000, "File too large"), (30_000, "pg_dump: killed by SIGXFSZ")])
def test_a_full_disk(database: str, limit_bytes: int, words: str) -> None:
    """A file size limit prevents the write of the release or, with a higher limit, of the dump."""
    with make_stage("external", server=SERVER, DATABASE_URL=database) as stage:
        deploy(stage, "1")
        with psycopg.connect(database) as connection:
            connection.execute("INSERT INTO items SELECT generate_series(1, 20000)")
        migrations = with_migration(stage, "002_full", "CREATE TABLE full_up (id bigint);\n")
        executable = foreign_server.build(stage.folder, "2", HANDOVER)
        done = subprocess.run(
            (sys.executable, "-c", FULL_DISK, str(stage.file), str(executable), str(migrations), str(limit_bytes)),
            env={**os.environ, **stage.variables}, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 1
        assert done.stderr.startswith("gaia: ")
        assert done.stderr.count("\n") == 1
        assert words in done.stderr
        assert_old_serves(stage)


def test_too_little_disk_space_is_reported_beforehand(old: Stage) -> None:
    """An executable of 8 TB is refused, because it does not fit twice."""
    huge = old.folder / "huge"
    with huge.open("wb") as file:
        file.truncate(8 * 10**12)
    with pytest.raises(NotWritable, match=r"\d+ MB are free, 16000050 MB are needed; free some disk space"):
        rollout.deploy(old.environment, artifact=huge, migrations=old.migrations)
    assert_old_serves(old)


@pytest.mark.parametrize(
    "point",
    [Checkpoint.VALIDATE, Checkpoint.DATABASE, Checkpoint.REHEARSE, Checkpoint.MIGRATE,
     Checkpoint.CANDIDATE_VERIFY, Checkpoint.CHECK, Checkpoint.VERIFY],
)  # fmt: skip
def test_a_database_outage_in_any_step(old: Stage, cluster: Cluster, point: Checkpoint) -> None:
    """After a kill of PostgreSQL in any step the old server serves, even without its database."""
    name = f"002_{point.replace('.', '_')}"
    folder = with_migration(old, name, f"CREATE TABLE t{name} (id bigint);\n")
    pid = int((cluster.folder / "data" / "postmaster.pid").read_text().split()[0])
    running = supervisor_state.of(pid)
    assert running is not None

    def stop_postgres(checkpoint: Checkpoint, event: Event) -> None:
        if (checkpoint, event) == (point, Event.STARTED) and running.alive:
            os.kill(pid, signal.SIGKILL)
            processes.wait_for_exit(pid, running.birth)

    try:
        with pytest.raises(GaiaError) as caught:
            deploy(old, "2", migrations=folder, on_checkpoint=stop_postgres)
        assert_old_serves(old, caught.value)
    finally:
        cluster.start()
    rollout.repair(old.environment)
    assert_old_serves(old)


def test_a_server_that_reports_a_wrong_digest(stage: Stage) -> None:
    """A digest in `/health` that differs from the deployed one is refused."""
    stage.deploy("1")
    with pytest.raises(
        VerifyError, match=r"health: /health reports digest 0+, but \w+ was deployed; worktree-\w+ serves$"
    ):
        stage.deploy("2", "liar")
    assert stage.health()["version"] == "1"


def test_an_old_server_that_ignores_sigterm(stage: Stage) -> None:
    """The old server is killed after its time limit, and the new one serves."""
    stage.deploy("1", "stubborn")
    stage.deploy("2")
    assert stage.health()["version"] == "2"
    assert len(processes.marked(MARK, paths.of(stage.environment).caches)) == 1

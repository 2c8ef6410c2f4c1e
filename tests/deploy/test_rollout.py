"""Deployments with real processes, a real PostgreSQL and a server small enough to misbehave on cue."""

import asyncio
import errno
import os
import resource
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import httpx
import psutil
import psycopg
import pytest

from gaia_checks import jsonl
from gaia_checks.deploy import rollout
from gaia_checks.deploy.postgres import embedded
from gaia_checks.deploy.prune import prune
from gaia_checks.deploy.release import release_folder
from gaia_checks.deploy.reporting import doctor
from gaia_checks.deploy.state import paths, processes, supervisor_state
from gaia_checks.deploy.steps import swap
from gaia_checks.deploy.supervisor import adopt, daemon
from gaia_checks.deploy.supervisor.server_process import Server, ServerSpec
from gaia_checks.deploy.supervisor.supervisor import Supervisor
from gaia_checks.errors import ArtifactError, Busy, DeployError, MigrationError, NotReady, PortInUse, VerifyError
from tests.deploy.conftest import make_stage
from tests.deploy.stage import Stage, eventually, kill
from tests.support import clock

DEPLOY = """
import sys
from pathlib import Path
from gaia_checks import environment
from gaia_checks.deploy import rollout
rollout.deploy(environment.load(sys.argv[1]), artifact=Path(sys.argv[2]), migrations=Path(sys.argv[3]))
"""


def ledger(stage: Stage) -> list[tuple[str, str]]:
    """Return the ledger as (step, event)."""
    path = paths.of(stage.environment).ledger
    return [(line["step"], line["event"]) for line in jsonl.read(path)]


def assert_nothing_runs(stage: Stage) -> None:
    """No process, no socket and no PostgreSQL of this stage is left."""
    here = paths.of(stage.environment)
    cluster = embedded.of(stage.environment)
    assert stage.processes() == []
    assert cluster is None or not cluster.running()
    assert not here.control.exists()
    assert not here.record.exists()
    assert stage.status().state == "stopped"
    with pytest.raises(httpx.ConnectError):
        stage.health()


def empty(release: Path) -> None:
    """Leave of every file its name alone, as a power cut does of what was not yet on the disk."""
    for path in release.rglob("*"):
        if path.is_file():
            path.chmod(0o644)
            path.write_bytes(b"")


def test_a_deployed_release_serves_and_status_tells_which(embedded_stage: Stage) -> None:
    """After a deployment the release serves, its migrations are applied, and status names it all."""
    status = embedded_stage.deploy()
    assert (status.state, status.restarts, status.previous) == ("running", 0, None)
    assert status.process is not None
    assert embedded_stage.health() == {
        "status": "healthy",
        "version": "1",
        "digest": status.release.sha256 if status.release else None,
        "pid": status.process.pid,
    }
    assert status.database_url is not None
    with psycopg.connect(status.database_url) as connection:
        assert connection.execute("SELECT version FROM schema_migrations").fetchall() == [("001_items",)]
    assert ledger(embedded_stage)[-1] == ("deployment", "ended")


@pytest.mark.parametrize("dsn", ["postgres//u:canary-77c@h/db", "postgresql://u:pa/canary-77c@h:5432/db"])
def test_status_shows_nothing_of_a_mistyped_database_url(stage: Stage, dsn: str) -> None:
    """What runs is shown all the same; of the connection string, whose parts could be the password, nothing is."""
    stage.deploy()
    done = stage.gaia("status", str(stage.file), DATABASE_URL=dsn)
    assert (done.returncode, done.stderr) == (0, "")
    assert "state        running" in done.stdout
    assert "canary" not in done.stdout


def test_the_server_gets_its_variables_and_nothing_else(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """What lies around in the deploying shell does not reach the server, and no secret reaches a command line."""
    monkeypatch.setenv("SOMETHING_ELSE", "1")
    stage.variables["ADMIN_TOKEN"] = "canary-token-7f3a"
    stage.deploy()
    known = {"PATH", "HOME", "LANG", "SHIV_ROOT", "DATABASE_URL", "PORT", "ADMIN_TOKEN", "LISTEN_FDS", "LISTEN_PID"}
    seen = stage.get("/environ")
    added = {"PWD", "OLDPWD", "SHLVL", "_", "LC_CTYPE"}  # by a shell and Python themselves
    assert set(seen) - known - added <= {"SSL_CERT_FILE", "SSL_CERT_DIR"}  # whom to trust is told to everybody
    assert seen["ADMIN_TOKEN"] == "canary-token-7f3a"
    assert seen["PATH"].split(":")[0] == str(Path(sys.executable).parent)
    assert stat.S_IMODE(Path(seen["SHIV_ROOT"]).stat().st_mode) == 0o700
    lines = [" ".join(p.info["cmdline"] or ()) for p in psutil.process_iter(["cmdline"])]
    assert not any("canary-token" in line for line in lines)
    assert "canary-token" not in str(stage.supervisor().environ())
    written = (path for path in stage.folder.rglob("*") if path.is_file() and "postgres" not in path.parts)
    assert not [path for path in written if b"canary-token" in path.read_bytes()]


def test_a_new_release_takes_over_without_a_refused_request(stage: Stage) -> None:
    """During a swap every request is answered, by the old server or the new one."""
    stage.deploy("1")
    seen: list[str] = []
    done = threading.Event()

    def ask() -> None:
        while not done.is_set():
            seen.append(stage.health()["version"])

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        status = stage.deploy("2")
    finally:
        done.set()
        asking.join()
    assert stage.health()["version"] == "2"
    assert {"1", "2"} >= set(seen)
    assert seen[0] == "1"
    assert status.previous is not None
    assert status.previous.sha256 != (status.release.sha256 if status.release else None)
    assert len([p for p in stage.processes() if "gaia_server" in " ".join(p.cmdline())]) == 1


def test_the_same_release_is_left_alone_and_changed_variables_are_not(stage: Stage) -> None:
    """Deploying what runs does nothing; a new value of a variable reaches the server."""
    first = stage.deploy()
    assert stage.deploy().process == first.process
    stage.variables["RATE_LIMIT_ENABLED"] = "false"
    second = stage.deploy()
    assert second.process != first.process
    assert stage.get("/environ")["RATE_LIMIT_ENABLED"] == "false"


def test_another_port_is_moved_to(stage: Stage) -> None:
    """A changed PORT is served after the swap, and the old one no longer."""
    stage.deploy()
    old = stage.url
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    stage.variables["PORT"] = str(port)
    assert stage.deploy().base_url == f"http://127.0.0.1:{port}"
    assert stage.health()["version"] == "1"
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{old}/health", trust_env=False)


@pytest.mark.parametrize(
    ("behaviour", "error", "words"),
    [
        ("crash", NotReady, "exit code 1 before it was ready; its last words: the configuration is not to my liking"),
        ("no-config", VerifyError, "config API: GET /api/admin/quotas/config answers 404"),
    ],
)
def test_a_release_that_does_not_hold_leaves_the_old_one(
    stage: Stage, behaviour: str, error: type[Exception], words: str
) -> None:
    """Whatever is wrong with the new server, the old process serves on and the new one is gone."""
    before = stage.deploy("1")
    with pytest.raises(error, match=words):
        stage.deploy("2", behaviour)
    assert stage.status() == before
    assert stage.health()["version"] == "1"
    assert len([p for p in stage.processes() if "gaia_server" in " ".join(p.cmdline())]) == 1
    assert ledger(stage)[-2:] == [("deploy", "failed"), ("deployment", "failed")]


def test_a_first_release_that_does_not_hold_leaves_nothing(embedded_stage: Stage) -> None:
    """Where nothing ran before, nothing runs after a failure."""
    with pytest.raises(NotReady):
        embedded_stage.deploy("1", "crash")
    assert_nothing_runs(embedded_stage)


def test_a_release_that_fails_in_public_is_replaced_by_the_previous(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the public address does not hold what the private one did, the previous release comes back by itself."""
    stage.deploy("1")
    before = stage.status()
    real, calls = swap.verify_public, []

    def failing_once(environment: object) -> None:
        calls.append(environment)
        if len(calls) == 1:
            raise VerifyError("health: said no")
        real(stage.environment)

    monkeypatch.setattr(swap, "verify_public", failing_once)
    with pytest.raises(VerifyError, match=r"health: said no; worktree-\w+ serves$"):
        stage.deploy("2")
    assert stage.health()["version"] == "1"
    assert stage.status().release == before.release


def test_a_failing_migration_leaves_the_old_server_and_schema(stage: Stage) -> None:
    """A migration that PostgreSQL refuses stops the deployment before any server is touched."""
    before = stage.deploy("1")
    (stage.migrations / "order.txt").write_text("001_items.sql\n002_bad.sql\n")
    (stage.migrations / "002_bad.sql").write_text("CREATE TABLE half (id int);\nCREATE TABLE items (id int);\n")
    with pytest.raises(MigrationError, match=r'002_bad.sql: relation "items" already exists'):
        stage.deploy("2")
    assert stage.status() == before
    assert before.database_url is not None
    with psycopg.connect(before.database_url) as connection:
        assert connection.execute("SELECT to_regclass('half')").fetchone() == (None,)


def test_a_killed_server_is_started_again_and_counted(stage: Stage) -> None:
    """The supervisor starts a crashed server again, and status counts it."""
    first = stage.deploy()
    assert first.process is not None
    kill(first.process.pid)
    eventually(lambda: stage.status().state == "running" and stage.status().restarts == 1)
    second = stage.status()
    assert second.process is not None
    assert stage.health()["pid"] == second.process.pid != first.process.pid


def test_a_server_that_says_it_is_not_ready_is_left_alone(database: str) -> None:
    """Started again while its database is away it answers 503: it would not be better for being ended."""
    with make_stage("external", server="[server]\nready_s = 1\n", DATABASE_URL=database) as stage:
        executable, away = stage.executable(), stage.folder / "away"
        source = executable.read_text().replace('BEHAVIOUR == "deaf"', f'Path("{away}").exists()')
        executable.write_text(source)
        first = rollout.deploy(stage.environment, artifact=executable, migrations=stage.migrations)
        assert first.process is not None
        away.touch()
        kill(first.process.pid)
        eventually(lambda: (stage.status().state, stage.status().restarts) == ("running", 1))
        assert httpx.get(f"{stage.url}/readyz", trust_env=False).status_code == 503


def test_a_full_disk_ends_nothing_that_the_supervisor_does(stage: Stage) -> None:
    """While it can note nothing it starts a killed server again; once there is space, status knows of it."""
    first = stage.deploy()
    assert first.process is not None
    supervisor = stage.supervisor()
    record_bytes = paths.of(stage.environment).record.stat().st_size
    _, most = resource.prlimit(supervisor.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(supervisor.pid, resource.RLIMIT_FSIZE, (record_bytes // 2, most))
    kill(first.process.pid)
    eventually(lambda: answering(stage) not in (None, first.process and first.process.pid))
    assert stage.status().state == "crashed"
    resource.prlimit(supervisor.pid, resource.RLIMIT_FSIZE, (most, most))
    eventually(lambda: stage.status().state == "running" and stage.status().restarts == 1, within_s=30)
    second = stage.status()
    assert second.process is not None
    assert answering(stage) == second.process.pid


def answering(stage: Stage) -> int | None:
    """The pid of the server that answers; None while there is none."""
    try:
        return int(stage.health()["pid"])
    except httpx.HTTPError:
        return None


def test_a_server_that_has_ended_and_is_not_kept_does_not_serve(stage: Stage) -> None:
    """Who asks which release serves, to repair say, must not be told the one of a dead server."""
    paths.prepare(paths.of(stage.environment))
    order = ServerSpec(stage.folder, {}, "127.0.0.1", 1)
    ask = {"do": "serving", "order": {**asdict(order), "release": str(stage.folder)}}

    async def serving() -> list[str | None]:
        supervisor, server = Supervisor(paths.of(stage.environment)), Server(order, supervisor_state.mine(), "")
        supervisor._active = server  # noqa: SLF001 - a keeper that died has no door of its own
        before = await supervisor._answer(ask)  # noqa: SLF001
        server.exited.set()
        after = await supervisor._answer(ask)  # noqa: SLF001
        return [before["release"], after["release"]]

    assert asyncio.run(serving()) == [str(stage.folder), None]


def test_a_killed_embedded_postgresql_is_started_again(embedded_stage: Stage) -> None:
    """The supervisor brings it back, and what was written is there."""
    status = embedded_stage.deploy()
    cluster = embedded.of(embedded_stage.environment)
    assert cluster is not None
    assert status.database_url is not None
    kill(int((cluster.folder / "data" / "postmaster.pid").read_text().split()[0]))
    eventually(lambda: not cluster.alive())
    eventually(lambda: versions(status.database_url or "") == [("001_items",)], within_s=30)


def test_postgresql_that_a_full_disk_keeps_down_is_tried_again(
    embedded_stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the system refuses once is no reason to leave the database down."""
    paths.prepare(paths.of(embedded_stage.environment))
    cluster = embedded.of(embedded_stage.environment)
    assert cluster is not None
    start = embedded.Cluster.start

    def refused(_: embedded.Cluster) -> None:
        monkeypatch.setattr(embedded.Cluster, "start", start)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(embedded.Cluster, "start", refused)
    monkeypatch.setattr(daemon, "_LOOK_EVERY_S", 0.01)

    async def keep() -> None:
        keeping = asyncio.create_task(daemon._keep(cluster))  # noqa: SLF001 - it belongs to a whole process
        await asyncio.to_thread(eventually, cluster.alive, within_s=30)
        keeping.cancel()

    try:
        asyncio.run(keep())
    finally:
        cluster.stop()


def versions(dsn: str) -> list[tuple[str]]:
    """The applied migrations; none while nobody answers."""
    try:
        with psycopg.connect(dsn) as connection:
            return connection.execute("SELECT version FROM schema_migrations").fetchall()
    except psycopg.OperationalError:
        return []


def test_a_server_that_ignores_sigterm_is_killed(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stopping ends also a server that does not want to."""
    monkeypatch.setattr("gaia_checks.deploy.state.processes.TERM_S", 0.5)
    stage.deploy("1", "stubborn")
    stage.kill_supervisor()
    rollout.stop(stage.environment)
    assert_nothing_runs(stage)


def test_a_killed_supervisor_is_replaced_and_its_server_adopted(stage: Stage) -> None:
    """Without its supervisor the server serves on; the next has it as its own, and starts it again after a crash."""
    stage.variables["RATE_LIMIT_ENABLED"] = "false"
    first = stage.deploy()
    assert first.process is not None
    old = stage.supervisor()
    stage.kill_supervisor()
    assert stage.status().state == "running"
    assert stage.deploy().process == first.process
    assert stage.supervisor().pid != old.pid
    kill(first.process.pid)
    eventually(lambda: stage.status().state == "running" and stage.status().restarts == 1)
    assert stage.get("/environ")["RATE_LIMIT_ENABLED"] == "false"


def test_a_clock_that_is_set_makes_no_process_a_stranger(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """What runs is still ours: status says so, no stray is ended, and the next release takes over."""
    first = stage.deploy("1")
    assert first.process is not None
    clock.step(monkeypatch)
    assert stage.status() == first
    assert adopt.survivor(paths.of(stage.environment), pytest.fail) is not None
    stage.deploy("2")
    assert stage.health()["version"] == "2"
    assert not processes.alive(first.process.pid, first.process.birth)


def test_an_adopted_server_makes_room_for_the_next_release(stage: Stage) -> None:
    """Its socket cannot be taken from it, so this one swap is stop-and-start, with the outage in the ledger."""
    first = stage.deploy("1")
    assert first.process is not None
    stage.kill_supervisor()
    stage.deploy("2")
    assert stage.health()["version"] == "2"
    assert not processes.alive(first.process.pid, first.process.birth)
    outages = [line["outage_ms"] for line in jsonl.read(paths.of(stage.environment).ledger) if "outage_ms" in line]
    assert outages[0] == 0 < outages[1]


def test_after_a_killed_supervisor_a_bad_release_brings_the_old_one_back(stage: Stage) -> None:
    """The server that had to make room for a failed candidate is started again."""
    stage.deploy("1")
    stage.kill_supervisor()
    with pytest.raises(NotReady):
        stage.deploy("2", "crash")
    eventually(lambda: stage.status().state == "running")
    assert stage.health()["version"] == "1"


def test_what_an_orderly_reboot_ended_is_on_record_and_brought_back(embedded_stage: Stage) -> None:
    """A supervisor that is told to end takes its servers with it, but not the knowledge of what ran."""
    first = embedded_stage.deploy()
    supervisor = embedded_stage.supervisor()
    supervisor.terminate()
    supervisor.wait(60)
    assert embedded_stage.status().state == "crashed"
    assert embedded_stage.status().release_dir == first.release_dir
    assert rollout.repair(embedded_stage.environment).release_dir == first.release_dir
    assert embedded_stage.health()["version"] == "1"


@pytest.mark.parametrize("damage", [release_folder.remove, empty])
def test_a_release_that_cannot_be_read_after_a_power_cut_is_deployed_over(
    stage: Stage, damage: Callable[[Path], None]
) -> None:
    """Everything that looks at it says that it crashed; a repair names what mends it, and that does."""
    stage.deploy("0")
    release = stage.deploy("1").release_dir
    assert release is not None
    supervisor = stage.supervisor()
    supervisor.terminate()
    supervisor.wait(60)
    damage(release)
    now = stage.status()
    assert (now.state, now.release, now.release_dir, now.process) == ("crashed", None, None, None)
    assert prune(stage.environment, 5) == ()
    found = {finding.check: finding for finding in doctor.examine(stage.environment)}
    assert found["server answers"].mend == "gaia deploy stage PHASE"
    with pytest.raises(
        DeployError, match=r"^stage: the release on record cannot be read; run: gaia deploy stage PHASE"
    ):
        rollout.repair(stage.environment)
    assert stage.deploy("1").release_dir == release
    assert stage.health()["version"] == "1"


def test_a_server_that_outlives_its_release_serves_until_another_has_taken_over(stage: Stage) -> None:
    """Somebody removed the folder of what runs: a deployment that fails leaves it, one that holds replaces it."""
    first = stage.deploy("1")
    assert first.release_dir is not None
    release_folder.remove(first.release_dir)
    assert (stage.status().state, stage.status().process) == ("running", first.process)
    with pytest.raises(NotReady, match=r"; nothing on record serves$"):
        stage.deploy("2", "crash")
    assert stage.health()["version"] == "1"
    stage.deploy("2")
    assert stage.health()["version"] == "2"


def test_stop_leaves_nothing(embedded_stage: Stage) -> None:
    """After stop there is no process, no socket and no PostgreSQL; stopping again is fine."""
    embedded_stage.deploy()
    rollout.stop(embedded_stage.environment)
    assert_nothing_runs(embedded_stage)
    rollout.stop(embedded_stage.environment)


def test_stop_ends_what_a_killed_supervisor_left(embedded_stage: Stage) -> None:
    """Stop works from the record and the processes when nobody listens on the control socket."""
    embedded_stage.deploy()
    embedded_stage.kill_supervisor()
    rollout.stop(embedded_stage.environment)
    assert_nothing_runs(embedded_stage)


def test_a_killed_deployment_is_cleaned_by_the_next(stage: Stage) -> None:
    """A deploy killed while its candidate starts leaves the old server; the next command records and cleans."""
    stage.deploy("1")
    deaf = stage.executable("2", "deaf")
    command = (sys.executable, "-c", DEPLOY, str(stage.file), str(deaf), str(stage.migrations))
    with subprocess.Popen(command, env={**os.environ, **stage.variables}) as deploying:
        try:
            eventually(lambda: ("deploy", "begun") in ledger(stage)[-1:])
            eventually(lambda: len([p for p in stage.processes() if "gaia_server" in " ".join(p.cmdline())]) == 2)
            with pytest.raises(Busy, match=rf"busy: deploy worktree by .* \(pid {deploying.pid}\) since .*, gaia \d"):
                stage.deploy("3")
        finally:
            deploying.kill()
    assert stage.health()["version"] == "1"
    assert stage.deploy("3").state == "running"
    assert stage.health()["version"] == "3"
    assert ("deployment", "undone") in ledger(stage)
    assert len([p for p in stage.processes() if "gaia_server" in " ".join(p.cmdline())]) == 1


def test_a_port_in_use_is_named_with_its_owner(stage: Stage) -> None:
    """Who listens on the port is said before anything is touched."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", stage.environment.port))
        other.listen()
        with pytest.raises(
            PortInUse,
            match=rf"stage: port \d+ is in use by .* \(pid {os.getpid()}\); stop it, or set PORT to a free port",
        ):
            stage.deploy()
    assert not paths.of(stage.environment).ledger.exists()


def test_a_missing_executable_is_named(stage: Stage) -> None:
    """A path without a file is refused with what to do."""
    with pytest.raises(ArtifactError, match="there is no such executable; build it first: make build"):
        rollout.deploy(stage.environment, artifact=stage.folder / "none", migrations=stage.migrations)


def test_a_missing_migration_is_named(stage: Stage) -> None:
    """An order.txt that names a file which is not there stops the deployment at once."""
    (stage.migrations / "order.txt").write_text("001_items.sql\n002_gone.sql\n")
    with pytest.raises(MigrationError, match=r"order\.txt: names 002_gone\.sql, which cannot be read"):
        stage.deploy()


def test_deep_folders_do_not_break_sockets(embedded_stage: Stage) -> None:
    """A GAIA_HOME too long for a Unix socket's path works as any other."""
    deep = embedded_stage.folder / ("d" * 60) / ("e" * 60)
    embedded_stage.variables["GAIA_HOME"] = str(deep)
    assert embedded_stage.deploy().state == "running"
    short = paths.of(embedded_stage.environment).control.parent
    assert str(short).startswith("/tmp/")
    assert stat.S_IMODE(short.stat().st_mode) == 0o700
    rollout.stop(embedded_stage.environment)
    assert_nothing_runs(embedded_stage)
    assert not short.exists()


def test_the_record_is_for_us_alone(stage: Stage) -> None:
    """What the supervisor writes about itself and its socket are closed to others."""
    stage.deploy()
    here = paths.of(stage.environment)
    for path in (here.record, here.control, here.server_log, here.supervisor_log):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path
    found = supervisor_state.read(here.record)
    assert found is not None
    assert os.getsid(found.supervisor.pid) == found.supervisor.pid

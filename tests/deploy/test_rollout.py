"""Deployments with real processes, a real PostgreSQL and a configurable fake server."""

import asyncio
import errno
import os
import re
import resource
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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
from gaia_checks.deploy.supervisor import adopt, daemon, listening_socket
from gaia_checks.deploy.supervisor.supervised_server import ServerSpec, SupervisedServer
from gaia_checks.deploy.supervisor.supervisor import Supervisor
from gaia_checks.errors import ArtifactError, Busy, DeployError, MigrationError, NotReady, PortInUse, VerifyError
from tests.deploy.conftest import make_stage
from tests.deploy.stage import Stage, eventually, kill, lines
from tests.support import clock, plain_http

DEPLOY = """
import sys
from pathlib import Path
from gaia_checks.environment import environment_file
from gaia_checks.deploy import rollout
rollout.deploy(environment_file.load(sys.argv[1]), artifact=Path(sys.argv[2]), migrations=Path(sys.argv[3]))
"""


def ledger(stage: Stage) -> list[tuple[str, str]]:
    """Return the ledger as (step, event)."""
    path = paths.of(stage.environment).ledger
    return [(line["step"], line["event"]) for line in jsonl.read(path)]


def assert_nothing_runs(stage: Stage) -> None:
    """No process, socket or PostgreSQL of this environment remains."""
    here = paths.of(stage.environment)
    cluster = embedded.of(stage.environment)
    assert stage.processes() == []
    assert cluster is None or not cluster.running()
    assert not here.control.exists()
    assert not here.record.exists()
    assert stage.status().state == "stopped"
    with pytest.raises(httpx.ConnectError):
        stage.health()


def truncate(release: Path) -> None:
    """Truncate every file, as a power cut does to unsynced files."""
    for path in release.rglob("*"):
        if path.is_file():
            path.chmod(0o644)
            path.write_bytes(b"")


def test_a_deployed_release_serves_and_status_names_it(embedded_stage: Stage) -> None:
    """After a deployment the release serves, its migrations are applied, and status describes it."""
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
    assert ledger(embedded_stage)[-1] == ("deployment", "finished")


@pytest.mark.parametrize("dsn", ["postgres//u:canary-77c@h/db", "postgresql://u:pa/canary-77c@h:5432/db"])
def test_status_shows_nothing_of_a_mistyped_database_url(stage: Stage, dsn: str) -> None:
    """Status works, and prints no part of the malformed URL, since any part may be the password."""
    stage.deploy()
    done = stage.gaia("status", str(stage.file), DATABASE_URL=dsn)
    assert (done.returncode, done.stderr) == (0, "")
    assert "state        running" in done.stdout
    assert "canary" not in done.stdout


def test_the_server_gets_its_variables_and_nothing_else(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """The deploying shell's variables do not reach the server, and no secret reaches a command line or file."""
    monkeypatch.setenv("SOMETHING_ELSE", "1")
    stage.variables["ADMIN_TOKEN"] = "canary-token-7f3a"
    more = {"TRUSTED_PROXIES": "10.0.0.7", "RETENTION_DAYS": "7", "RATE_LIMIT_ON_DB_DOWN": "allow"}
    stage.variables.update(more)
    stage.deploy()
    known = {"PATH", "HOME", "LANG", "SHIV_ROOT", "DATABASE_URL", "PORT", "ADMIN_TOKEN", "LISTEN_FDS", "LISTEN_PID"}
    environ = stage.get("/environ")
    assert more == {name: environ.pop(name) for name in more}
    added = {"PWD", "OLDPWD", "SHLVL", "_", "LC_CTYPE"}  # by a shell and Python themselves
    assert set(environ) - known - added <= {"SSL_CERT_FILE", "SSL_CERT_DIR"}  # certificate locations are passed on
    assert environ["ADMIN_TOKEN"] == "canary-token-7f3a"
    assert environ["PATH"].split(":")[0] == str(Path(sys.executable).parent)
    assert stat.S_IMODE(Path(environ["SHIV_ROOT"]).stat().st_mode) == 0o700
    lines = [" ".join(p.info["cmdline"] or ()) for p in psutil.process_iter(["cmdline"])]
    assert not any("canary-token" in line for line in lines)
    assert "canary-token" not in str(stage.supervisor().environ())
    written = (path for path in stage.folder.rglob("*") if path.is_file() and "postgres" not in path.parts)
    assert not [path for path in written if b"canary-token" in path.read_bytes()]


def test_a_new_release_takes_over_without_a_refused_request(stage: Stage) -> None:
    """During a swap the old or the new server answers every request."""
    stage.deploy("1")
    versions_served: list[str] = []
    done = threading.Event()

    def send_requests() -> None:
        while not done.is_set():
            versions_served.append(stage.health()["version"])

    client = threading.Thread(target=send_requests)
    client.start()
    try:
        status = stage.deploy("2")
    finally:
        done.set()
        client.join()
    assert stage.health()["version"] == "2"
    assert {"1", "2"} >= set(versions_served)
    assert versions_served[0] == "1"
    assert status.previous is not None
    assert status.previous.sha256 != (status.release.sha256 if status.release else None)
    assert len([p for p in stage.processes() if "gaia_server" in " ".join(p.cmdline())]) == 1


def test_the_same_release_is_left_alone_and_changed_variables_are_not(stage: Stage) -> None:
    """Deploying the running release again does nothing; a changed variable restarts the server with it."""
    first = stage.deploy()
    assert stage.deploy().process == first.process
    stage.variables["RATE_LIMIT_ENABLED"] = "false"
    second = stage.deploy()
    assert second.process != first.process
    assert stage.get("/environ")["RATE_LIMIT_ENABLED"] == "false"


def test_a_changed_port_takes_effect(stage: Stage) -> None:
    """After the swap the new PORT is served, and the old one no longer."""
    stage.deploy()
    old = stage.url
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    stage.variables["PORT"] = str(port)
    assert stage.deploy().base_url == f"http://127.0.0.1:{port}"
    assert stage.health()["version"] == "1"
    with pytest.raises(httpx.ConnectError):
        plain_http.get(f"{old}/health", trust_env=False)


@pytest.mark.parametrize(
    ("behaviour", "error", "words"),
    [
        ("crash", NotReady, "exit code 1 before it was ready; last log line: the configuration is not to my liking"),
        ("no-config", VerifyError, "config API: GET /api/admin/quotas/config answers 404"),
    ],
)
def test_a_failing_release_leaves_the_old_one_running(
    stage: Stage, behaviour: str, error: type[Exception], words: str
) -> None:
    """The old process continues to serve, and the new one is ended."""
    before = stage.deploy("1")
    with pytest.raises(error, match=words):
        stage.deploy("2", behaviour)
    assert stage.status() == before
    assert stage.health()["version"] == "1"
    assert len([p for p in stage.processes() if "gaia_server" in " ".join(p.cmdline())]) == 1
    assert ledger(stage)[-2:] == [("deploy", "failed"), ("deployment", "failed")]


def test_a_failing_first_release_leaves_nothing(embedded_stage: Stage) -> None:
    """Where nothing ran before, nothing runs after a failure."""
    with pytest.raises(NotReady):
        embedded_stage.deploy("1", "crash")
    assert_nothing_runs(embedded_stage)


def test_a_release_that_fails_in_public_is_replaced_by_the_previous(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A failed verification at the public address rolls back to the previous release."""
    stage.deploy("1")
    before = stage.status()
    real, calls = swap.verify_public, []

    def failing_once(environment: object) -> None:
        calls.append(environment)
        if len(calls) == 1:
            raise VerifyError("health: refused")
        real(stage.environment)

    monkeypatch.setattr(swap, "verify_public", failing_once)
    with pytest.raises(VerifyError, match=r"health: refused; worktree-\w+ serves$"):
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


def test_a_killed_server_is_restarted_and_counted(stage: Stage) -> None:
    """The supervisor restarts a crashed server, and status counts the restart."""
    first = stage.deploy()
    assert first.process is not None
    kill(first.process.pid)
    eventually(lambda: stage.status().state == "running" and stage.status().restarts == 1)
    second = stage.status()
    assert second.process is not None
    assert stage.health()["pid"] == second.process.pid != first.process.pid


def test_a_server_that_is_not_ready_is_left_alone(database: str) -> None:
    """A restarted server that answers 503, without its database, is not restarted once more."""
    with make_stage("external", server="[server]\nready_s = 1\n", DATABASE_URL=database) as stage:
        executable, away = stage.executable(), stage.folder / "away"
        source = executable.read_text().replace('BEHAVIOUR == "deaf"', f'Path("{away}").exists()')
        executable.write_text(source)
        first = rollout.deploy(stage.environment, artifact=executable, migrations=stage.migrations)
        assert first.process is not None
        away.touch()
        kill(first.process.pid)
        eventually(lambda: (stage.status().state, stage.status().restarts) == ("running", 1))
        assert plain_http.get(f"{stage.url}/readyz", trust_env=False).status_code == 503


def test_a_full_disk_does_not_stop_the_supervision(stage: Stage) -> None:
    """The supervisor restarts a killed server without writing its state, and writes it once there is space."""
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
    """The pid of the server that answers; None without one."""
    try:
        return int(stage.health()["pid"])
    except httpx.HTTPError:
        return None


def test_an_exited_server_without_restarts_does_not_serve(stage: Stage) -> None:
    """The answer to "serving" does not name the release of a dead server."""
    paths.prepare(paths.of(stage.environment))
    spec = ServerSpec(stage.folder, {}, "127.0.0.1", 1)
    request = {"do": "serving", "order": {**asdict(spec), "release": str(stage.folder)}}

    async def serving() -> list[str | None]:
        supervisor, server = (
            Supervisor(paths.of(stage.environment)),
            SupervisedServer(spec, supervisor_state.mine(), ""),
        )
        supervisor._active = server  # noqa: SLF001 - no public way to end the restarter
        before = await supervisor._answer(request)  # noqa: SLF001
        server.exited.set()
        after = await supervisor._answer(request)  # noqa: SLF001
        return [before["release"], after["release"]]

    assert asyncio.run(serving()) == [str(stage.folder), None]


def test_a_killed_embedded_postgresql_is_restarted(embedded_stage: Stage) -> None:
    """The supervisor restarts it, and its data is intact."""
    status = embedded_stage.deploy()
    cluster = embedded.of(embedded_stage.environment)
    assert cluster is not None
    assert status.database_url is not None
    kill(int((cluster.folder / "data" / "postmaster.pid").read_text().split()[0]))
    eventually(lambda: not cluster.alive())
    eventually(lambda: versions(status.database_url or "") == [("001_items",)], within_s=30)


def test_a_postgresql_start_that_fails_on_a_full_disk_is_retried(
    embedded_stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A failed restart of the embedded PostgreSQL is retried."""
    paths.prepare(paths.of(embedded_stage.environment))
    cluster = embedded.of(embedded_stage.environment)
    assert cluster is not None
    start = embedded.Cluster.start

    def refused(_: embedded.Cluster) -> None:
        monkeypatch.setattr(embedded.Cluster, "start", start)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(embedded.Cluster, "start", refused)
    monkeypatch.setattr(daemon, "_POLL_S", 0.01)

    async def restart() -> None:
        restarter = asyncio.create_task(daemon._restart_on_exit(cluster))  # noqa: SLF001 - a task of the daemon
        await asyncio.to_thread(eventually, cluster.alive, within_s=30)
        restarter.cancel()

    try:
        asyncio.run(restart())
    finally:
        cluster.stop()


def versions(dsn: str) -> list[tuple[str]]:
    """The applied migrations; none while the database does not answer."""
    try:
        with psycopg.connect(dsn) as connection:
            return connection.execute("SELECT version FROM schema_migrations").fetchall()
    except psycopg.OperationalError:
        return []


def test_a_server_that_ignores_sigterm_is_killed(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stop kills a server that ignores SIGTERM."""
    monkeypatch.setattr("gaia_checks.deploy.state.processes.DRAIN_S", 0.5)
    stage.deploy("1", "stubborn")
    stage.kill_supervisor()
    rollout.stop(stage.environment)
    assert_nothing_runs(stage)


def test_a_killed_supervisor_is_replaced_and_its_server_adopted(stage: Stage) -> None:
    """The server continues without its supervisor; the next one adopts it, and restarts it after a crash."""
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


def test_a_clock_change_does_not_affect_process_identity(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a clock change status is the same, no process is ended as stray, and the next release takes over."""
    first = stage.deploy("1")
    assert first.process is not None
    clock.step(monkeypatch)
    assert stage.status() == first
    assert adopt.survivor(paths.of(stage.environment), pytest.fail) is not None
    stage.deploy("2")
    assert stage.health()["version"] == "2"
    assert not processes.alive(first.process.pid, first.process.birth)


def test_an_adopted_server_hands_its_socket_over(stage: Stage) -> None:
    """After its supervisor's death every request during the next swap is answered."""
    first = stage.deploy("1")
    assert first.process is not None
    assert first.next_swap == "hand-over"
    stage.kill_supervisor()
    assert stage.status().next_swap == "hand-over"
    with requested(stage) as versions:
        stage.deploy("2")
        eventually(lambda: versions[-1:] == ["2"])
    assert set(versions) == {"1", "2"}
    assert not processes.alive(first.process.pid, first.process.birth)
    assert outages(stage) == [0, 0]


def test_an_adopted_server_that_keeps_its_socket_makes_room_for_the_next_release(stage: Stage) -> None:
    """Where the socket cannot be taken, status, doctor, output and ledger say so before the swap."""
    first = stage.deploy("1", "keeper")
    assert first.process is not None
    assert first.next_swap == "hand-over"
    stage.kill_supervisor()
    assert stage.status().next_swap == f"stop and start: {listening_socket.KEPT}"
    port = {finding.check: finding for finding in doctor.examine(stage.environment)}["port"]
    assert (port.state, listening_socket.KEPT in port.finding) == ("ok", True)
    printed: list[str] = []
    rollout.deploy(stage.environment, artifact=stage.executable("2"), migrations=stage.migrations, log=printed.append)
    announced = next(line for line in lines(stage) if line["event"] == "announced")
    assert re.fullmatch(
        rf"requests are refused for about \d+\.\d s: {re.escape(listening_socket.KEPT)}", announced["outage"]
    )
    assert f"stage: {announced['outage']}" in printed[:-1]
    assert stage.health()["version"] == "2"
    assert not processes.alive(first.process.pid, first.process.birth)
    before, after = outages(stage)
    assert before == 0 < after
    assert stage.status().next_swap == "hand-over"


def outages(stage: Stage) -> list[int]:
    """The outage of each deployment in the ledger, in milliseconds."""
    return [line["outage_ms"] for line in lines(stage) if "outage_ms" in line]


@contextmanager
def requested(stage: Stage) -> Iterator[list[str]]:
    """Request /health all the time, each time on a new connection; the versions that answered, or the errors."""
    answers: list[str] = []
    finished = threading.Event()

    def request() -> None:
        while not finished.is_set():
            try:
                answers.append(stage.health()["version"])
            except httpx.HTTPError as error:
                answers.append(repr(error))

    thread = threading.Thread(target=request)
    thread.start()
    try:
        eventually(lambda: answers)
        yield answers
    finally:
        finished.set()
        thread.join()


def test_after_a_killed_supervisor_a_failing_release_is_rolled_back(stage: Stage) -> None:
    """The server that had to make room for a failed release is restarted."""
    stage.deploy("1")
    stage.kill_supervisor()
    with pytest.raises(NotReady):
        stage.deploy("2", "crash")
    eventually(lambda: stage.status().state == "running")
    assert stage.health()["version"] == "1"


def test_a_release_stopped_by_a_reboot_stays_on_record_and_is_repaired(embedded_stage: Stage) -> None:
    """A terminated supervisor ends its servers and keeps the record; repair restarts the release."""
    first = embedded_stage.deploy()
    supervisor = embedded_stage.supervisor()
    supervisor.terminate()
    supervisor.wait(60)
    assert embedded_stage.status().state == "crashed"
    assert embedded_stage.status().release_dir == first.release_dir
    assert rollout.repair(embedded_stage.environment).release_dir == first.release_dir
    assert embedded_stage.health()["version"] == "1"


@pytest.mark.parametrize("damage", [release_folder.remove, truncate])
def test_a_release_that_cannot_be_read_after_a_power_cut_is_deployed_over(
    stage: Stage, damage: Callable[[Path], None]
) -> None:
    """Status and doctor report a crash; repair names the command that fixes it, and that command succeeds."""
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
    assert found["server answers"].fix == "gaia deploy stage PHASE"
    with pytest.raises(
        DeployError, match=r"^stage: the release on record cannot be read; run: gaia deploy stage PHASE"
    ):
        rollout.repair(stage.environment)
    assert stage.deploy("1").release_dir == release
    assert stage.health()["version"] == "1"


def test_a_server_that_outlives_its_release_serves_until_another_has_taken_over(stage: Stage) -> None:
    """After the removal of its folder a server survives a failed deployment; a successful one replaces it."""
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
    """After stop no process, socket or PostgreSQL remains; a second stop succeeds."""
    embedded_stage.deploy()
    rollout.stop(embedded_stage.environment)
    assert_nothing_runs(embedded_stage)
    rollout.stop(embedded_stage.environment)


def test_stop_ends_the_server_of_a_killed_supervisor(embedded_stage: Stage) -> None:
    """Without a control socket, stop uses the record and the processes."""
    embedded_stage.deploy()
    embedded_stage.kill_supervisor()
    rollout.stop(embedded_stage.environment)
    assert_nothing_runs(embedded_stage)


def test_a_killed_deployment_is_undone_by_the_next(stage: Stage) -> None:
    """A deployment killed during its candidate's start leaves the old server; the next command undoes it."""
    stage.deploy("1")
    deaf = stage.executable("2", "deaf")
    command = (sys.executable, "-c", DEPLOY, str(stage.file), str(deaf), str(stage.migrations))
    with subprocess.Popen(command, env={**os.environ, **stage.variables}) as deploying:
        try:
            eventually(lambda: ("deploy", "started") in ledger(stage)[-1:])
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
    """The error names the process that listens, before anything changes."""
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
    """The error for a missing executable says how to build it."""
    with pytest.raises(ArtifactError, match="executable not found; build it first: make build"):
        rollout.deploy(stage.environment, artifact=stage.folder / "none", migrations=stage.migrations)


def test_a_missing_migration_is_named(stage: Stage) -> None:
    """An order.txt that names a missing file stops the deployment at once."""
    (stage.migrations / "order.txt").write_text("001_items.sql\n002_gone.sql\n")
    with pytest.raises(MigrationError, match=r"order\.txt: names 002_gone\.sql, which cannot be read"):
        stage.deploy()


def test_the_order_of_migrations_without_order_txt_is_reported(stage: Stage) -> None:
    """What was applied in which order is printed, and written nowhere else."""
    (stage.migrations / "order.txt").unlink()
    log: list[str] = []
    rollout.deploy(stage.environment, artifact=stage.executable("1"), migrations=stage.migrations, log=log.append)
    assert "stage: migrations: no order.txt; in the order of their numbers: 001_items" in log


def test_deep_folders_do_not_break_sockets(embedded_stage: Stage) -> None:
    """A GAIA_HOME too long for the path of a Unix socket works."""
    deep = embedded_stage.folder / ("d" * 60) / ("e" * 60)
    embedded_stage.variables["GAIA_HOME"] = str(deep)
    assert embedded_stage.deploy().state == "running"
    short = paths.of(embedded_stage.environment).control.parent
    assert str(short).startswith("/tmp/")
    assert stat.S_IMODE(short.stat().st_mode) == 0o700
    rollout.stop(embedded_stage.environment)
    assert_nothing_runs(embedded_stage)
    assert not short.exists()


def test_state_socket_and_logs_are_private(stage: Stage) -> None:
    """No other account can access them, and the supervisor runs in its own session."""
    stage.deploy()
    here = paths.of(stage.environment)
    for path in (here.record, here.control, here.server_log, here.supervisor_log):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path
    found = supervisor_state.read(here.record)
    assert found is not None
    assert os.getsid(found.supervisor.pid) == found.supervisor.pid

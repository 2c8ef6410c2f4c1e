"""The rehearsal copy runs the target's release in its own environment and is always removed afterwards."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from gaia_checks.deploy.rehearsal import rehearsal_copy
from gaia_checks.deploy.rehearsal.rehearsal_copy import RehearsalCopy
from gaia_checks.deploy.state import paths
from gaia_checks.environment.environment import Environment
from gaia_checks.environment.project import ROOT
from gaia_checks.errors import ArtifactError, ConfigurationError, Inconclusive
from gaia_checks.model import Target
from gaia_checks.probes.rehearsal import copy_protocol
from tests.deploy.conftest import make_stage
from tests.deploy.stage import Stage, eventually, lines
from tests.support import plain_http
from tests.support.postgres import fresh

RUN = "20260226T100000Z-3fa9c1"
PASSWORD = "canary-database-password"
SECRETS = {"ADMIN_TOKEN": "canary-admin-token", "ANTHROPIC_API_KEY": "canary-anthropic-key"}

KEEP_A_COPY = """
import sys, time
from pathlib import Path
from gaia_checks.environment import environment_file
from gaia_checks.deploy.rehearsal import rehearsal_copy
from gaia_checks.deploy import rollout
from gaia_checks.model import Target
here = environment_file.load(sys.argv[1])
now = rollout.status(here)
with rehearsal_copy.beside(Target(here.name, now.base_url, "run", release=now.release), here, "killed") as copy:
    copy.deploy(copy.current)
    print("serves", flush=True)
    time.sleep(600)
"""


@pytest.fixture(scope="module")
def stage(postgres: str) -> Iterator[Stage]:
    """A deployed server with a canary for every secret."""
    with fresh(postgres) as database:
        dsn = database.replace("postgres@", f"postgres:{PASSWORD}@")
        with make_stage("external", DATABASE_URL=dsn, **SECRETS) as made:
            made.deploy()
            yield made


def target(stage: Stage) -> Target:
    """The deployed server as the gate's target."""
    now = stage.status()
    return Target(stage.environment.name, now.base_url, RUN, release=now.release, process=now.process)


def beside(stage: Stage, purpose: str = "test") -> AbstractContextManager[RehearsalCopy]:
    """A rehearsal copy beside the deployed server."""
    return rehearsal_copy.beside(target(stage), stage.environment, purpose)


def copies(stage: Stage) -> list[Path]:
    """The folders of the existing rehearsal copies."""
    return list(paths.of(stage.environment).state.glob("copies/*"))


def traces(stage: Stage) -> list[str]:
    """The folders and processes of all rehearsal copies."""
    running = [" ".join(process.cmdline()) for process in stage.processes() if process.is_running()]
    return [*map(str, copies(stage)), *(line for line in running if "/copies/" in line)]


def test_the_rehearsal_copy_runs_the_same_release_in_its_own_environment(stage: Stage) -> None:
    """Same executable, other process, address and database; the target is unaffected, and nothing remains."""
    before, ledger = stage.status(), lines(stage)
    with beside(stage) as copy:
        copy.deploy(copy.current)
        now, health = copy.target, plain_http.get(f"{copy.target.base_url}/health", trust_env=False).json()
        assert now.release is not None
        assert before.release is not None
        assert (now.release.sha256, now.release.migrations) == (before.release.sha256, before.release.migrations)
        assert now.process is not None
        assert health["pid"] == now.process.pid != stage.health()["pid"]
        assert conninfo_to_dict(now.database_url or "")["host"] != conninfo_to_dict(before.database_url or "")["host"]
        with psycopg.connect(now.database_url or "") as database:
            assert database.execute("SELECT version FROM schema_migrations").fetchall() == [("001_items",)]
    assert (stage.status(), lines(stage)) == (before, ledger)
    assert traces(stage) == []


def test_no_secret_of_the_target_reaches_the_copy(stage: Stage) -> None:
    """Neither the rehearsal copy's server nor its files contain a secret of the target."""
    with beside(stage) as copy:
        copy.deploy(copy.current)
        own = plain_http.get(f"{copy.target.base_url}/environ", trust_env=False).json()
        assert own["ADMIN_TOKEN"] == copy.environment.values["ADMIN_TOKEN"]
        (folder,) = copies(stage)
        texts = {str(path): path.read_bytes().decode(errors="replace") for path in folder.rglob("*") if path.is_file()}
    assert len(texts) > 10
    canaries = {*SECRETS.values(), PASSWORD}
    assert [value for value in own.values() if any(canary in value for canary in canaries)] == []
    canaries.add(own["ADMIN_TOKEN"])  # its own token must be in no file either
    assert [name for name, text in texts.items() if any(canary in text for canary in canaries)] == []


def test_the_rehearsal_copy_recovers_from_a_crash_with_its_data(stage: Stage) -> None:
    """After a kill of server and PostgreSQL a new process serves, and a committed row is still there."""
    with beside(stage) as copy:
        copy.deploy(copy.current)
        before = copy.target
        with psycopg.connect(before.database_url or "") as database:
            database.execute("INSERT INTO items VALUES (7)")
            started = database.execute("SELECT pg_postmaster_start_time()").fetchone()
        copy.crash()
        assert copy.target.process != before.process
        assert plain_http.get(f"{before.base_url}/health", trust_env=False).status_code == 200
        with psycopg.connect(before.database_url or "") as database:
            assert database.execute("SELECT id FROM items").fetchall() == [(7,)]
            assert database.execute("SELECT pg_postmaster_start_time()").fetchone() != started


def test_two_copies_at_once_do_not_disturb_each_other(stage: Stage) -> None:
    """The crash or removal of one rehearsal copy does not affect another."""
    with beside(stage, "one") as one:
        with beside(stage, "two") as two:
            one.deploy(one.current)
            two.deploy(two.current)
            before = one.target
            two.crash()
        assert one.target == before
        assert plain_http.get(f"{before.base_url}/health", trust_env=False).status_code == 200
        assert [folder.name.partition("-")[0] for folder in copies(stage)] == ["one"]
    assert traces(stage) == []


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_nothing_remains_when_a_probe_fails(stage: Stage, error: type[BaseException]) -> None:
    """An exception and Ctrl-C stop and remove the rehearsal copy."""

    def probe() -> None:
        with beside(stage) as copy:
            copy.deploy(copy.current)
            raise error

    with pytest.raises(error):
        probe()
    assert traces(stage) == []


def test_the_rehearsal_copy_of_a_killed_gate_is_removed(stage: Stage) -> None:
    """`clear` removes the rehearsal copy of a killed process, and keeps one whose gate is running."""
    folder = paths.of(stage.environment).state / "copies" / "half-made"
    folder.mkdir(parents=True)
    with beside(stage, "alive") as alive:
        gate = subprocess.Popen(
            (sys.executable, "-c", KEEP_A_COPY, str(stage.file)),
            cwd=ROOT, env={**os.environ, **stage.variables}, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert gate.stdout is not None
        assert gate.stdout.readline() == "serves\n"
        gate.send_signal(signal.SIGKILL)
        gate.communicate()
        assert len(traces(stage)) > len(copies(stage))
        cleared = rehearsal_copy.clear(stage.environment)
        assert sorted(name.partition("-")[0] for name in cleared) == ["half", "killed"]
        eventually(lambda: all("/copies/alive-" in trace for trace in traces(stage)))
        alive.deploy(alive.current)
    assert traces(stage) == []


def test_a_stand_in_replaces_a_missing_previous_release_only_if_allowed(stage: Stage) -> None:
    """Without permission the missing rollback target is an error."""
    with beside(stage) as copy:
        with pytest.raises(ConfigurationError, match="there is no previous release here; deploy one"):
            copy.before()
        with pytest.raises(ArtifactError, match="not a Python zip archive"):
            replace(copy, stand_in=True).before()


def elsewhere(stage: Stage) -> tuple[Target, Environment]:
    """A server that was not deployed on this machine."""
    return replace(target(stage), release=None, base_url="http://192.0.2.1:8080"), stage.environment


def without_database(stage: Stage) -> tuple[Target, Environment]:
    """A server without a database."""
    return target(stage), replace(stage.environment, database="none")


def with_another_contract(stage: Stage) -> tuple[Target, Environment]:
    """A server that implements another contract."""
    here = stage.environment
    return target(stage), replace(here, server=replace(here.server, paths=("/healthz",)))


@pytest.mark.parametrize(
    ("case", "message"),
    [
        (
            elsewhere,
            r"the release of http://192\.0\.2\.1:8080 cannot be observed from here: run the gate on the machine where",
        ),
        (without_database, r"has no database; set environment\.database in stage\.toml"),
        (with_another_contract, r"server\.paths in stage\.toml declares another contract"),
    ],
)
def test_an_impossible_rehearsal_copy_is_inconclusive_with_its_reason(
    stage: Stage, case: Callable[[Stage], tuple[Target, Environment]], message: str
) -> None:
    """The one-line message names the setting to change; nothing remains."""
    server, environment = case(stage)
    with pytest.raises(Inconclusive, match=message), rehearsal_copy.beside(server, environment, "test"):
        pass
    assert traces(stage) == []


def test_too_little_disk_space_for_a_rehearsal_copy_is_inconclusive(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message names the free and the needed space, before anything is created."""
    monkeypatch.setattr(rehearsal_copy, "_DATABASE_BYTES", 10**18)
    with pytest.raises(Inconclusive, match=r"MB are free, a rehearsal copy needs 1000000000\d+ MB"), beside(stage):
        pass
    assert traces(stage) == []


def test_a_release_for_another_architecture_has_no_rehearsal_copy(postgres: str) -> None:
    """The error names the architecture of the executable."""
    with fresh(postgres) as database, make_stage("external", DATABASE_URL=database) as made:
        made.deploy()
        release = made.status().release_dir
        assert release is not None
        executable = release / "gaia_server"
        executable.chmod(0o755)
        executable.write_bytes(b"\x7fELF\x02\x01\x01" + bytes(11) + (243).to_bytes(2, "little") + bytes(44))
        with pytest.raises(ArtifactError, match="built for riscv64, but this machine is"), beside(made):
            pass


def test_the_rehearsal_copy_implements_the_protocol_of_the_probes() -> None:
    """`RehearsalCopy` satisfies the protocol in `probes`; the type checker enforces this."""

    def as_protocol(copy: RehearsalCopy) -> copy_protocol.CopyProtocol:
        return copy

    assert callable(as_protocol)

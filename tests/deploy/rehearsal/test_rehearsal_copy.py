"""A copy beside the target: the same release in a place of its own, gone afterwards whatever happens."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

import httpx
import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from gaia_checks.deploy.rehearsal import rehearsal_copy
from gaia_checks.deploy.rehearsal.rehearsal_copy import Copy
from gaia_checks.deploy.state import paths
from gaia_checks.environment import ROOT, Environment
from gaia_checks.errors import ArtifactError, ConfigurationError, Inconclusive
from gaia_checks.model import Target
from gaia_checks.probes.rehearsal import copy_protocol
from tests.deploy.conftest import make_stage
from tests.deploy.stage import Stage, eventually, lines
from tests.support.postgres import fresh

RUN = "20260226T100000Z-3fa9c1"
PASSWORD = "canary-database-password"
SECRETS = {"ADMIN_TOKEN": "canary-admin-token", "ANTHROPIC_API_KEY": "canary-anthropic-key"}

HOLD = """
import sys, time
from pathlib import Path
from gaia_checks import environment
from gaia_checks.deploy.rehearsal import rehearsal_copy
from gaia_checks.deploy import rollout
from gaia_checks.model import Target
here = environment.load(sys.argv[1])
now = rollout.status(here)
with rehearsal_copy.beside(Target(here.name, now.base_url, "run", release=now.release), here, "held") as copy:
    copy.deploy(copy.current)
    print("serves", flush=True)
    time.sleep(600)
"""


@pytest.fixture(scope="module")
def stage(postgres: str) -> Iterator[Stage]:
    """A server that is deployed, with canaries for every secret."""
    with fresh(postgres) as database:
        dsn = database.replace("postgres@", f"postgres:{PASSWORD}@")
        with make_stage("external", DATABASE_URL=dsn, **SECRETS) as made:
            made.deploy()
            yield made


def target(stage: Stage) -> Target:
    """The deployed server as the gate has it."""
    now = stage.status()
    return Target(stage.environment.name, now.base_url, RUN, release=now.release, process=now.process)


def beside(stage: Stage, purpose: str = "test") -> AbstractContextManager[Copy]:
    """A copy beside the deployed server."""
    return rehearsal_copy.beside(target(stage), stage.environment, purpose)


def copies(stage: Stage) -> list[Path]:
    """The folders of copies that are there."""
    return list(paths.of(stage.environment).state.glob("copies/*"))


def traces(stage: Stage) -> list[str]:
    """What there is of copies: folders and processes."""
    running = [" ".join(process.cmdline()) for process in stage.processes() if process.is_running()]
    return [*map(str, copies(stage)), *(line for line in running if "/copies/" in line)]


def test_the_copy_runs_the_same_release_in_a_place_of_its_own(stage: Stage) -> None:
    """Same executable, other process, address and database; the target does not notice, and nothing is left."""
    before, told = stage.status(), lines(stage)
    with beside(stage) as copy:
        copy.deploy(copy.current)
        now, health = copy.target, httpx.get(f"{copy.target.base_url}/health", trust_env=False).json()
        assert now.release is not None
        assert before.release is not None
        assert (now.release.sha256, now.release.migrations) == (before.release.sha256, before.release.migrations)
        assert now.process is not None
        assert health["pid"] == now.process.pid != stage.health()["pid"]
        assert conninfo_to_dict(now.database_url or "")["host"] != conninfo_to_dict(before.database_url or "")["host"]
        with psycopg.connect(now.database_url or "") as database:
            assert database.execute("SELECT version FROM schema_migrations").fetchall() == [("001_items",)]
    assert (stage.status(), lines(stage)) == (before, told)
    assert traces(stage) == []


def test_no_secret_of_the_target_reaches_the_copy(stage: Stage) -> None:
    """Neither its server nor any of its files holds a value that is the target's."""
    with beside(stage) as copy:
        copy.deploy(copy.current)
        own = httpx.get(f"{copy.target.base_url}/environ", trust_env=False).json()
        assert own["ADMIN_TOKEN"] == copy.environment.values["ADMIN_TOKEN"]
        (folder,) = copies(stage)
        texts = {str(path): path.read_bytes().decode(errors="replace") for path in folder.rglob("*") if path.is_file()}
    assert len(texts) > 10
    canaries = {*SECRETS.values(), PASSWORD}
    assert [value for value in own.values() if any(canary in value for canary in canaries)] == []
    canaries.add(own["ADMIN_TOKEN"])  # its own token is in no file either
    assert [name for name, text in texts.items() if any(canary in text for canary in canaries)] == []


def test_the_copy_comes_back_from_a_crash_with_what_was_stored(stage: Stage) -> None:
    """Server and PostgreSQL are killed; a new process serves, and a committed row is there."""
    with beside(stage) as copy:
        copy.deploy(copy.current)
        before = copy.target
        with psycopg.connect(before.database_url or "") as database:
            database.execute("INSERT INTO items VALUES (7)")
            began = database.execute("SELECT pg_postmaster_start_time()").fetchone()
        copy.crash()
        assert copy.target.process != before.process
        assert httpx.get(f"{before.base_url}/health", trust_env=False).status_code == 200
        with psycopg.connect(before.database_url or "") as database:
            assert database.execute("SELECT id FROM items").fetchall() == [(7,)]
            assert database.execute("SELECT pg_postmaster_start_time()").fetchone() != began


def test_two_copies_at_once_do_not_disturb_each_other(stage: Stage) -> None:
    """A copy that crashes or goes leaves the other one as it is."""
    with beside(stage, "one") as one:
        with beside(stage, "two") as two:
            one.deploy(one.current)
            two.deploy(two.current)
            before = one.target
            two.crash()
        assert one.target == before
        assert httpx.get(f"{before.base_url}/health", trust_env=False).status_code == 200
        assert [folder.name.partition("-")[0] for folder in copies(stage)] == ["one"]
    assert traces(stage) == []


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_nothing_is_left_when_a_look_breaks(stage: Stage, error: type[BaseException]) -> None:
    """An exception and Ctrl-C end and remove the copy."""

    def look() -> None:
        with beside(stage) as copy:
            copy.deploy(copy.current)
            raise error

    with pytest.raises(error):
        look()
    assert traces(stage) == []


def test_what_a_killed_gate_left_is_cleared(stage: Stage) -> None:
    """The copy of a killed process goes, whatever runs of it; one whose gate lives stays."""
    folder = paths.of(stage.environment).state / "copies" / "half-made"
    folder.mkdir(parents=True)
    with beside(stage, "alive") as alive:
        gate = subprocess.Popen(
            (sys.executable, "-c", HOLD, str(stage.file)),
            cwd=ROOT, env={**os.environ, **stage.variables}, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert gate.stdout is not None
        assert gate.stdout.readline() == "serves\n"
        gate.send_signal(signal.SIGKILL)
        gate.communicate()
        assert len(traces(stage)) > len(copies(stage))
        cleared = rehearsal_copy.clear(stage.environment)
        assert sorted(name.partition("-")[0] for name in cleared) == ["half", "held"]
        eventually(lambda: all("/copies/alive-" in trace for trace in traces(stage)))
        alive.deploy(alive.current)
    assert traces(stage) == []


def test_without_a_previous_release_a_twin_stands_in_only_when_told_so(stage: Stage) -> None:
    """A rollback needs a release before this one."""
    with beside(stage) as copy:
        with pytest.raises(ConfigurationError, match="there is no previous release here; deploy one"):
            copy.before()
        with pytest.raises(ArtifactError, match="not a Python zip archive"):
            replace(copy, twin=True).before()


def elsewhere(stage: Stage) -> tuple[Target, Environment]:
    """A server that was not deployed here."""
    return replace(target(stage), release=None, base_url="http://192.0.2.1:8080"), stage.environment


def without_database(stage: Stage) -> tuple[Target, Environment]:
    """A server that needs no database."""
    return target(stage), replace(stage.environment, database="none")


def a_stranger(stage: Stage) -> tuple[Target, Environment]:
    """A server that keeps another contract."""
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
        (a_stranger, r"server\.paths in stage\.toml says that the server keeps another contract"),
    ],
)
def test_where_there_can_be_no_copy_the_reason_is_said(
    stage: Stage, case: Callable[[Stage], tuple[Target, Environment]], message: str
) -> None:
    """Inconclusive, in one line, with what would have to be otherwise; nothing is left."""
    looked_at, environment = case(stage)
    with pytest.raises(Inconclusive, match=message), rehearsal_copy.beside(looked_at, environment, "test"):
        pass
    assert traces(stage) == []


def test_a_full_disk_is_no_place_for_a_copy(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """How much is free and how much is needed is said before anything is made."""
    monkeypatch.setattr(rehearsal_copy, "_DATABASE_BYTES", 10**18)
    with pytest.raises(Inconclusive, match=r"MB are free, a rehearsal copy needs 1000000000\d+ MB"), beside(stage):
        pass
    assert traces(stage) == []


def test_a_release_for_another_machine_has_no_copy(postgres: str) -> None:
    """What this machine cannot execute is named."""
    with fresh(postgres) as database, make_stage("external", DATABASE_URL=database) as made:
        made.deploy()
        release = made.status().release_dir
        assert release is not None
        executable = release / "gaia_server"
        executable.chmod(0o755)
        executable.write_bytes(b"\x7fELF\x02\x01\x01" + bytes(11) + (243).to_bytes(2, "little") + bytes(44))
        with pytest.raises(ArtifactError, match="built for riscv64, but this machine is"), beside(made):
            pass


def test_the_copy_is_what_looks_ask_for() -> None:
    """What `probes` ask of a copy, `deploy` has: the type checker holds this."""

    def as_asked_for(copy: Copy) -> copy_protocol.Copy:
        return copy

    assert callable(as_asked_for)

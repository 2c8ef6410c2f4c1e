"""The deployment of a faulty server, with its switches, database and process."""

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
import tomli_w

from gaia_checks.deploy import rollout
from gaia_checks.deploy.postgres import owner
from gaia_checks.deploy.reporting.status import Status
from gaia_checks.environment import environment_file
from gaia_checks.environment.environment import Environment
from gaia_checks.environment.project import ROOT
from tests.faults import server
from tests.faults.server import Switch
from tests.support.ground import Ground, Outcome, ground, until

Looks = Mapping[str, Mapping[str, float]]
"""look -> parameter -> value, in place of criteria.toml's."""

LIMITS = {"p50_ratio": 1.5, "memory_more_mb": 40}
"""How much worse than the release before the deployed one may be."""

Changes = tuple[str, str, str]
"""A migration file, a text in it, and its replacement."""


@dataclass(frozen=True)
class Place:
    """A deployed faulty server, and its previous release; both are correct while no switch is on."""

    ground: Ground
    environment: Environment
    switch: Switch
    switch_before: Switch  # of the release before
    address: str | None = None  # of what stands before the server, if anything
    instances: tuple[str, ...] = ()  # addresses that the environment file names

    def gate(self, looks: Looks, *options: str) -> Outcome:
        """Gate the running server."""
        return self.ground.gate(self._file(looks), *options)

    def start(self, looks: Looks) -> "subprocess.Popen[str]":
        """Start a gate of the running server."""
        return self.ground.start("pytest", f"--env={self._file(looks)}")

    def _file(self, looks: Looks) -> Path:
        keys = f"instances = {json.dumps(self.instances)}" if self.instances else ""
        file = self.ground.environment_file(base_url=self.address or self.ground.url, keys=keys)
        about, _, _ = file.read_text().partition("[looks")
        file.write_text(about + tomli_w.dumps({"looks": looks, "no_regression": LIMITS}))
        return file

    @property
    def status(self) -> Status:
        """The running server."""
        return rollout.status(self.environment)

    @property
    def database_url(self) -> str:
        """The URL of the server's database."""
        url = self.status.database_url
        assert url is not None
        return url

    def connect(self, application: str = "seeded") -> psycopg.Connection:
        """Open a session of the server's account in its database; every statement counts at once."""
        return psycopg.connect(self.database_url, application_name=application, autocommit=True)

    def connect_superuser(self) -> psycopg.Connection:
        """Open a superuser's session in the server's database; every statement counts at once."""
        url = self.database_url.replace(f"//{owner.OWNER}@", f"//{owner.SUPERUSER}@")
        return psycopg.connect(url, autocommit=True)

    def crash(self) -> None:
        """Kill the server's process; return when another serves."""
        process = self.status.process
        assert process is not None
        os.kill(process.pid, signal.SIGKILL)
        self.until_it_serves(other_than=process.pid)

    def until_it_serves(self, other_than: int = 0) -> None:
        """Wait until the supervisor has started the server again."""

        def serves() -> bool:
            now = self.status
            return now.state == "running" and now.process is not None and now.process.pid != other_than

        until(serves)


@contextmanager
def place(*changes: Changes) -> Iterator[Place]:
    """Deploy a release, and another over it; with `changes` in the migrations of both."""
    with ground(ADMIN_TOKEN="a-token-of-the-faults") as made:
        migrations = _migrations(made.folder, changes)
        before, switch_before = server.write(made.folder, "before")
        current, switch = server.write(made.folder)
        for executable in (before, current):
            made.deploy(executable, made.environment_file(), migrations)
        environment = environment_file.load(str(made.environment_file()), variables=made.variables)
        yield Place(made, environment, switch, switch_before)


def _migrations(folder: Path, changes: tuple[Changes, ...]) -> Path:
    shutil.copytree(ROOT / "migrations", folder / "migrations")
    for name, old, new in changes:
        file = folder / "migrations" / name
        assert old in file.read_text()
        file.write_text(file.read_text().replace(old, new))
    return folder / "migrations"

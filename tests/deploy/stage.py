"""A place to deploy to: an environment file, folders and a free port of its own."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil

from gaia_checks import environment as environments
from gaia_checks import jsonl
from gaia_checks.deploy import rollout
from gaia_checks.deploy.reporting.status import Status
from gaia_checks.deploy.state import paths, supervisor_state
from gaia_checks.environment import Environment

FAKE = Path(__file__).with_name("fake_server.py")


@dataclass(frozen=True)
class Stage:
    """One environment of a test."""

    folder: Path
    file: Path
    variables: dict[str, str]

    @property
    def environment(self) -> Environment:
        """The environment, read again."""
        return environments.load(str(self.file), variables=self.variables)

    @property
    def url(self) -> str:
        """Where the server answers."""
        return self.environment.local_url

    @property
    def migrations(self) -> Path:
        """Its migrations."""
        return self.folder / "migrations"

    def executable(self, version: str = "1", behaviour: str = "serve") -> Path:
        """Write a fake server; every version and behaviour has a digest of its own."""
        path = self.folder / f"server-{version}-{behaviour}"
        source = FAKE.read_text().replace('BEHAVIOUR = "serve"', f'BEHAVIOUR = "{behaviour}"')
        path.write_text(source.replace('VERSION = "1"', f'VERSION = "{version}"'))
        path.chmod(0o755)
        return path

    def deploy(self, version: str = "1", behaviour: str = "serve") -> Status:
        """Deploy a fake server."""
        return rollout.deploy(
            self.environment, artifact=self.executable(version, behaviour), migrations=self.migrations
        )

    def status(self) -> Status:
        """What runs."""
        return rollout.status(self.environment)

    def gaia(self, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run the command line to its end."""
        return subprocess.run(
            (sys.executable, "-m", "gaia_checks.cli", *words),
            env={**os.environ, **self.variables, **variables},
            capture_output=True, text=True, timeout=100, check=False,
        )  # fmt: skip

    def health(self) -> dict[str, Any]:
        """What `/health` says; httpx.HTTPError when nobody answers."""
        return self.get("/health")

    def get(self, path: str) -> dict[str, Any]:
        """What the server answers to a GET, as JSON; httpx.HTTPError when nobody answers."""
        body: dict[str, Any] = httpx.get(self.url + path, timeout=5, trust_env=False).json()
        return body

    def text(self, path: str) -> str:
        """What the server answers to a GET, as text; httpx.HTTPError when nobody answers."""
        return httpx.get(self.url + path, timeout=5, trust_env=False).text

    def supervisor(self) -> psutil.Process:
        """The supervisor's process."""
        found = supervisor_state.read(paths.of(self.environment).record)
        assert found is not None
        return psutil.Process(found.supervisor.pid)

    def kill_supervisor(self) -> None:
        """End the supervisor as the kernel does when memory runs out."""
        found = supervisor_state.of(self.supervisor().pid)
        kill(found.pid)
        eventually(lambda: not found.alive)

    def processes(self) -> list[psutil.Process]:
        """Every process that runs because of this stage, from its command line or its parents."""
        mark = str(self.folder)
        return [p for p in psutil.process_iter() if p.pid != os.getpid() and mark in _command_line(p)]


def lines(stage: Stage) -> list[dict[str, Any]]:
    """Return the ledger's lines."""
    return list(jsonl.read(paths.of(stage.environment).ledger))


def eventually(condition: Callable[[], object], within_s: float = 15) -> None:
    """Return as soon as the condition holds; fail when it does not in time."""
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def kill(pid: int) -> None:
    """End a process of this test as a power cut would."""
    os.kill(pid, signal.SIGKILL)


def _command_line(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return ""

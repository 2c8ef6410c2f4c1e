"""A test environment to deploy to, with its own environment file, folders and free port."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from gaia_checks import jsonl
from gaia_checks.deploy import rollout
from gaia_checks.deploy.reporting.status import Status
from gaia_checks.deploy.state import paths, supervisor_state
from gaia_checks.environment import environment_file
from gaia_checks.environment.environment import Environment
from tests.support import plain_http

FAKE = Path(__file__).with_name("fake_server.py")


@dataclass(frozen=True)
class Stage:
    """One test environment."""

    folder: Path
    file: Path
    variables: dict[str, str]

    @property
    def environment(self) -> Environment:
        """The environment, freshly loaded."""
        return environment_file.load(str(self.file), variables=self.variables)

    @property
    def url(self) -> str:
        """The base URL of the server."""
        return self.environment.local_url

    @property
    def migrations(self) -> Path:
        """The folder of its migrations."""
        return self.folder / "migrations"

    def executable(self, version: str = "1", behaviour: str = "serve") -> Path:
        """Write a fake server; the digest differs per version and behaviour."""
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
        """The status of the environment."""
        return rollout.status(self.environment)

    def gaia(self, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run a `gaia` command to its end."""
        return subprocess.run(
            (sys.executable, "-m", "gaia_checks.cli", *words),
            env={**os.environ, **self.variables, **variables},
            capture_output=True, text=True, timeout=100, check=False,
        )  # fmt: skip

    def health(self) -> dict[str, Any]:
        """The body of `/health`; raises httpx.HTTPError without a server."""
        return self.get("/health")

    def get(self, path: str) -> dict[str, Any]:
        """The JSON body of a GET; raises httpx.HTTPError without a server."""
        body: dict[str, Any] = plain_http.get(self.url + path, timeout=5, trust_env=False).json()
        return body

    def text(self, path: str) -> str:
        """The text of a GET; raises httpx.HTTPError without a server."""
        return plain_http.get(self.url + path, timeout=5, trust_env=False).text

    def supervisor(self) -> psutil.Process:
        """The supervisor's process."""
        found = supervisor_state.read(paths.of(self.environment).record)
        assert found is not None
        return psutil.Process(found.supervisor.pid)

    def kill_supervisor(self) -> None:
        """Kill the supervisor with SIGKILL, like the kernel's out-of-memory killer."""
        found = supervisor_state.of(self.supervisor().pid)
        kill(found.pid)
        eventually(lambda: not found.alive)

    def processes(self) -> list[psutil.Process]:
        """Every running process of this environment, found by its command line."""
        mark = str(self.folder)
        return [p for p in psutil.process_iter() if p.pid != os.getpid() and mark in _command_line(p)]


def lines(stage: Stage) -> list[dict[str, Any]]:
    """Return the ledger's records."""
    return list(jsonl.read(paths.of(stage.environment).ledger))


def eventually(condition: Callable[[], object], within_s: float = 15) -> None:
    """Return as soon as the condition is true; fail after `within_s`."""
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "the condition did not become true in time"
        time.sleep(0.02)


def kill(pid: int) -> None:
    """Kill a process of this test with SIGKILL."""
    os.kill(pid, signal.SIGKILL)


def _command_line(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return ""

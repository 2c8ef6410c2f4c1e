"""A ground to gate on: a server really deployed on this machine, in folders of its own, with short windows."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gaia_checks.deploy.supervisor.spawn import free_port

ROOT = Path(__file__).resolve().parents[2]

DEPLOY = """
import sys
from pathlib import Path
from gaia_checks.environment import environment_file
from gaia_checks.deploy import rollout
rollout.deploy(environment_file.load(sys.argv[1]), artifact=Path(sys.argv[2]), migrations=Path(sys.argv[3]))
"""

LOOKS = """
[looks.health]
requests = 10
spacing_s = 0.02

[looks.log]
window_s = 2

[looks.load]
window_s = 5
max_window_s = 5

[looks.limits]
window_s = 5

[looks.protection]
rate_per_s = 60
window_s = 4

[looks.soak]
clients = 50
window_s = 12

[looks.memory]
window_s = 3

[looks.connections]
window_s = 5
"""


@dataclass(frozen=True)
class Outcome:
    """How a gate ended."""

    code: int
    output: str
    folder: Path
    verdict: dict[str, Any]  # verdict.json; empty where there is none

    @property
    def states(self) -> dict[str, str]:
        """Criterion -> state."""
        return {criterion["id"]: criterion["state"] for criterion in self.verdict["criteria"]}

    def not_passed(self) -> dict[str, str]:
        """Criterion -> why, for each that did not pass."""
        return {c["id"]: f"{c['state']}: {c['why']}" for c in self.verdict["criteria"] if c["state"] != "pass"}


@dataclass(frozen=True)
class Ground:
    """Folders, an environment file and a free port; what is deployed there is stopped at the end."""

    folder: Path
    port: int
    database: str  # "embedded", or "external": DATABASE_URL stands in `extra`
    extra: Mapping[str, str] = field(default_factory=dict)

    @property
    def variables(self) -> dict[str, str]:
        """The environment of every command on this ground."""
        return {
            **{name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "GAIA"))},
            "GAIA_HOME": str(self.folder / "home"),
            "GAIA_LOG_DIR": str(self.folder / "log"),
            "GAIA_REPORTS": str(self.folder / "reports"),
            "COLUMNS": "160",
            **self.extra,
        }

    def environment_file(
        self, *, base_url: str | None = None, keys: str = "", tables: str = "", load: str = ""
    ) -> Path:
        """Write an environment file; with `base_url` the gate looks at what already runs. May be given more.

        `load` are more lines of [looks.load].
        """
        looks = LOOKS.replace("[looks.load]\n", f"[looks.load]\n{load}")
        path = self.folder / "ground.toml"
        url = f'base_url = "{base_url}"\n{keys}' if base_url else keys
        path.write_text(
            f'[environment]\nstage = "dev"\ndatabase = "{self.database}"\nhost = "127.0.0.1"\n{url}\nrequired = []\n'
            f'[environment.defaults]\nPORT = "{self.port}"\nRATE_LIMIT_ENABLED = "true"\n{looks}{tables}'
        )
        return path

    @property
    def url(self) -> str:
        """Where the server of this ground answers."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def latest(self) -> Path:
        """The evidence of the newest gate."""
        return (self.folder / "reports" / "ground" / "latest").resolve()

    def measured(self) -> str:
        """What the newest gate has measured so far."""
        path = self.latest / "measurements.jsonl"
        return path.read_text() if path.exists() else ""

    def run(self, *command: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run a command of the project to its end."""
        return subprocess.run(
            [sys.executable, "-m", *command],
            cwd=ROOT, env={**self.variables, **variables}, capture_output=True, text=True, timeout=150, check=False,
        )  # fmt: skip

    def start(self, *command: str) -> subprocess.Popen[str]:
        """Start a command of the project."""
        return subprocess.Popen(
            [sys.executable, "-m", *command],
            cwd=ROOT, env=self.variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip

    def deploy(self, executable: Path, file: Path, migrations: Path = ROOT / "migrations") -> None:
        """Deploy `executable`, with the project's migrations if no others are given."""
        done = subprocess.run(
            [sys.executable, "-c", DEPLOY, str(file), str(executable), str(migrations)],
            cwd=ROOT, env=self.variables, capture_output=True, text=True, timeout=90, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr

    def gate(self, file: Path, *options: str, **variables: str) -> Outcome:
        """Gate an environment file."""
        done = self.run("pytest", f"--env={file}", *options, **variables)
        folder = self.latest
        verdict = folder / "verdict.json"
        found = json.loads(verdict.read_text()) if verdict.exists() else {}
        return Outcome(done.returncode, done.stdout + done.stderr, folder, found)

    def stop(self, file: Path) -> None:
        """Stop whatever is deployed."""
        self.run("gaia_checks.cli", "stop", str(file))


@contextmanager
def ground(*, database: str = "embedded", **extra: str) -> Iterator[Ground]:
    """Make a ground, with more variables for its commands, and stop at the end what runs on it."""
    with tempfile.TemporaryDirectory(prefix="gaia-ground-") as name:
        Path(name).chmod(0o711)  # PostgreSQL runs as another user when this one is root
        made = Ground(Path(name), free_port(), database, extra)
        try:
            yield made
        finally:
            for file in made.folder.glob("*.toml"):
                made.stop(file)


def until(done: Callable[[], bool], limit_s: float = 60) -> None:
    """Wait for something that another process does."""
    deadline = time.monotonic() + limit_s
    while not done():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)

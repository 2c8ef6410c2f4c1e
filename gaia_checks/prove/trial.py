"""One trial: a built server, deployed and gated in an environment of its own, of which nothing remains."""

import contextlib
import json
import secrets
import sys
import tempfile
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import tomli_w

from gaia_checks import files
from gaia_checks.deploy import rollout
from gaia_checks.deploy.postgres import embedded
from gaia_checks.deploy.rehearsal import stand_in_release
from gaia_checks.deploy.release import release_folder
from gaia_checks.deploy.state import paths, processes
from gaia_checks.deploy.supervisor import spawn
from gaia_checks.deploy.supervisor.supervised_server import MARK
from gaia_checks.environment import environment_file
from gaia_checks.environment.environment import Environment
from gaia_checks.environment.project import MARKER, PROJECT, ROOT
from gaia_checks.model import STAGES
from gaia_checks.prove import short_windows
from gaia_checks.prove.fault_verdict import GateOutcome
from gaia_checks.prove.interruptible import Run, own_variables
from gaia_checks.redaction import SECRET_NAMES

_NAME = "trial"


@dataclass(frozen=True, slots=True)
class Trial:
    """Folders, a free port and an environment file."""

    folder: Path
    like: Environment  # whose server it is
    run: Run
    variables: dict[str, str]
    windows: Mapping[str, float]  # look -> seconds, where the shortest do not decide

    def deploy(self, executable: Path, migrations: Path, *, previous: bool) -> None:
        """Deploy the executable, over a stand-in for a previous release if one is needed. Raises GaiaError."""
        own = self._environment()
        if previous:
            rollout.deploy(own, artifact=self._stand_in(executable, migrations), migrations=migrations)
        rollout.deploy(own, artifact=executable, migrations=migrations)

    def gate(self, criteria: Collection[str]) -> GateOutcome:
        """Gate what is deployed by these criteria; the gate stops when it can no longer pass."""
        own = () if PROJECT == ROOT else ("-c", MARKER)
        chosen = short_windows.selection(short_windows.tests(self.like), criteria)
        command = (sys.executable, "-m", "pytest", *own, f"--env={self.file}", f"--stage={STAGES[-1]}", "-k", chosen)
        started_s, before = time.monotonic(), self._latest()
        done = self.run(command, PROJECT, self.variables)
        seconds, verdict = round(time.monotonic() - started_s, 1), self._latest() / "verdict.json"
        if self._latest() == before or not verdict.exists():
            return GateOutcome({}, {}, seconds, f"the gate left no verdict: {done.last_line}")
        found = [each for each in json.loads(verdict.read_text())["criteria"] if each["id"] in criteria]
        trouble = "" if done.code in (0, 1, 8) else f"the gate exited with {done.code}: {done.last_line}"
        return GateOutcome(
            {each["id"]: each["state"] for each in found},
            {each["id"]: each["why"] for each in found},
            seconds,
            trouble,
        )

    @property
    def file(self) -> Path:
        """The environment file."""
        return self.folder / f"{_NAME}.toml"

    def end(self) -> None:
        """Stop everything, also processes that the server left behind, and remove the database."""
        own = self._environment()
        rollout.stop(own)
        for pid, birth in processes.marked(MARK, paths.of(own).caches):
            processes.end(pid, birth)
        if cluster := embedded.of(own):
            cluster.remove()

    def write(self) -> None:
        """Write the environment file: that of the server, with another address, without its secrets."""
        like, port = self.like, spawn.free_port()
        names = asdict(like.names)
        if names.pop("adapter"):
            files.replace(self.folder / "adapter.py", like.names.adapter)
            names["adapter"] = "adapter.py"
        values = {name: value for name, value in like.values.items() if name not in SECRET_NAMES}
        about: dict[str, Any] = {
            "stage": STAGES[-1],
            "database": "none" if like.database == "none" else "embedded",
            "host": "127.0.0.1",
            "base_url": f"http://127.0.0.1:{port}",
            "client_names": like.client_names,
            "required": [],
            "defaults": {**values, "PORT": str(port)},
            **({"criteria": str(like.criteria)} if like.criteria else {}),
        }
        server = {name: value for name, value in asdict(like.server).items() if name != "artifact"}
        looks = short_windows.looks(like, self.windows)
        tables = {
            "environment": about,
            "server": {**server, "paths": list(server["paths"])},
            "migrations": {"allow": sorted(like.allowed)},
            "contract": names,
            "looks": looks | {"load": {**looks.get("load", {}), **like.load.on_one_machine()}},
        }
        files.replace(self.file, tomli_w.dumps(tables))

    def _environment(self) -> Environment:
        return environment_file.load(str(self.file), variables={**own_variables(), **self.variables})

    def _latest(self) -> Path:
        return (self.folder / "reports" / _NAME / "latest").resolve()

    def _stand_in(self, executable: Path, migrations: Path) -> Path:
        """Return an executable of the same code in other bytes."""
        releases = self.folder / "before"
        releases.mkdir()
        release = release_folder.from_worktree(releases, executable=executable, migrations=migrations)
        return stand_in_release.make(release, releases) / "gaia_server"


@contextmanager
def opened(like: Environment, run: Run, windows: Mapping[str, float]) -> Iterator[Trial]:
    """Yield a trial of the server of `like`; stop and remove it afterwards."""
    with tempfile.TemporaryDirectory(prefix="gaia-prove-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o711)  # PostgreSQL runs as another account when this one is root
        variables = {
            "GAIA_HOME": str(folder / "home"),
            "GAIA_LOG_DIR": str(folder / "log"),
            "GAIA_REPORTS": str(folder / "reports"),
            "ADMIN_TOKEN": secrets.token_urlsafe(),
        }
        made = Trial(folder, like, run, variables, windows)
        made.write()
        try:
            yield made
        finally:
            with contextlib.suppress(FileNotFoundError):
                made.end()
            release_folder.remove(folder / "home")

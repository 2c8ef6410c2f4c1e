"""Somebody's machine on which the commands of the pages run: an empty home, a clone of this project, free ports."""

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from gaia_checks.deploy.supervisor.spawn import free_port
from gaia_checks.environment.project import ROOT

NONE: Mapping[str, str] = {}


class Machine:
    """Runs commands in its clone; names that the pages chose are replaced by those of this machine."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.project = folder / "project"
        self.home = folder / "home"
        self.names = {
            "https://git.example/gaia-checks.git": str(ROOT),
            "/opt/gaia-checks": str(self.project),
            "/etc/systemd/system": str(folder / "systemd"),
            "/etc/gaia": str(folder / "etc"),
            "-o gaia -g gaia ": "",
            "-o root -g gaia ": "",
            **{port: str(free_port()) for port in ("8711", "8721", "8722", "8723")},
            "phase-11.4": "phase-1",
        }
        self.home.mkdir()
        (folder / "systemd").mkdir()
        (self.home / ".gitconfig").write_text("[user]\nname = me\nemail = me@example.org\n")

    def own(self, text: str, names: Mapping[str, str] = NONE) -> str:
        """A text with this machine's names, and those given, in place of the pages'."""
        own = {**self.names, **names}
        longest_first = "|".join(map(re.escape, sorted(own, key=len, reverse=True)))
        return re.sub(longest_first, lambda found: own[found[0]], text)

    def script(self, *commands: str, names: Mapping[str, str] = NONE) -> str:
        """The commands, with names of one's own, as a script that ends with the first that fails."""
        return self.own("\n".join(("set -euo pipefail", *commands)), names)

    def run(self, *commands: str, code: int = 0, names: Mapping[str, str] = NONE) -> str:
        """Run commands in the virtual environment of the clone; return what they printed. They must end with `code`."""
        done = subprocess.run(
            ("bash", "-c", self.script(*self._activated(), *commands, "exit", names=names)),  # bash stays the parent
            cwd=self.project if self.project.exists() else self.folder, env=self.variables,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == code, done.stdout
        return done.stdout

    @contextmanager
    def running(self, *commands: str, says: str, names: Mapping[str, str] = NONE) -> Iterator[str]:
        """Run the last command until the block ends, by Ctrl-C; yield the line in which it says that it is ready.

        It must end with exit code 0.
        """
        *before, last = commands
        with subprocess.Popen(
            ("env", "--default-signal=INT", "bash", "-c",  # also where our own shell ignores it
             self.script(*self._activated(), *before, f"exec {last}", names=names)),
            cwd=self.project, env=self.variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        ) as process:  # fmt: skip
            assert process.stdout is not None
            said: list[str] = []
            try:
                while says not in (line := process.stdout.readline()):
                    said.append(line)
                    assert line, "".join(said)
                yield line
            finally:
                process.send_signal(signal.SIGINT)
                rest = process.stdout.read()
        assert process.returncode == 0, "".join(said) + rest

    def take_dependencies(self) -> None:
        """Give the clone what a build of the server has downloaded before."""
        for cached in (ROOT / "build").glob(".dependencies-*"):
            shutil.copytree(cached, self.project / "build" / cached.name)

    def _activated(self) -> tuple[str, ...]:
        activate = self.project / ".venv" / "bin" / "activate"
        return (f". {activate}",) if activate.exists() else ()

    @property
    def variables(self) -> Mapping[str, str]:
        """The variables of a fresh login."""
        theirs = {
            name: value for name, value in os.environ.items() if not name.startswith(("GAIA_", "PYTEST_", "PYTHON"))
        }
        return {**theirs, "HOME": str(self.home), "GIT_CONFIG_NOSYSTEM": "1"}

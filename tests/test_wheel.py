"""gaia-checks installed from a wheel into somebody's environment: `gaia init` and a gate need no clone of it."""

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

from gaia_checks.environment.project import ROOT
from tests.docs.commands import to_run
from tests.probes.servers import serving

SOURCES = ("pyproject.toml", "setup.py", "README.md", "gaia_checks", "suites", "locustfiles", "starter", "docs")

FOLDERS = """
from gaia_checks.environment import project
from gaia_checks.gate.pytest_hooks import invocation
from gaia_checks.load import load_run
from gaia_checks.probes.monitoring import monitoring_probe
from gaia_checks.promotion.statements import installation
facts = installation.describe([], [])
assert project.INSTALLED and (facts["commit"], facts["dirty"]) == (None, None), facts
missing = [path for path in (*load_run.WITHOUT_RULES.values(), *load_run.LOCUSTFILES.values()) if not path.is_file()]
assert not missing and list(monitoring_probe.FOLDER.rglob("*.yml")), missing
"""


def build_wheel(folder: Path) -> Path:
    """Build the wheel of this tree, in a copy of it; return its path."""
    copy = folder / "sources"
    for name in SOURCES:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            copy.mkdir(exist_ok=True)
            shutil.copy(ROOT / name, copy / name)
    pip(sys.executable, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder), str(copy))
    return next(folder.glob("gaia_checks-*.whl"))


def install(wheel: Path, project: Path) -> Path:
    """Install the wheel into a virtual environment inside a project, which sees the other packages of this one.

    By the command of docs/how-to/own-server.md, beside the wheel and without the package index.
    """
    venv.create(project / ".venv", symlinks=True)
    programs = project / ".venv" / "bin"
    packages = Path(next((project / ".venv" / "lib").glob("python*/site-packages")))
    (packages / "others.pth").write_text(sysconfig.get_path("purelib") + "\n")
    command, *_ = to_run("docs/how-to/own-server.md#gate-a-server-of-your-own")
    assert command == "pip install gaia_checks-*.whl"
    subprocess.run(
        ("bash", "-c", f'pip() {{ {sys.executable} -m pip "$@"; }}; {command}'), cwd=wheel.parent, check=True,
        env={**os.environ, "PIP_PYTHON": str(programs / "python"), "PIP_NO_DEPS": "1", "PIP_NO_INDEX": "1"},
    )  # fmt: skip
    (programs / "pytest").write_text(f'#!/bin/sh\nexec {programs}/python -m pytest "$@"\n')
    (programs / "pytest").chmod(0o755)
    return programs


def pip(python: str, *words: str) -> None:
    """Run pip, without a word to anybody else."""
    done = subprocess.run(
        (python, "-m", "pip", "--quiet", "--disable-pip-version-check", *words),
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_project_is_gated_by_an_installation_without_a_clone(tmp_path: Path) -> None:
    """Our suites and the project's own judge its server; evidence and environments are the project's."""
    project = tmp_path / "project"
    project.mkdir()
    programs = install(build_wheel(tmp_path), project)
    variables = {
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "ADMIN_TOKEN": "a-token-of-sixteen",
        **{name: str(tmp_path / name) for name in ("HOME", "GAIA_HOME", "GAIA_LOG_DIR")},
    }

    def run(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, cwd=folder, env=variables, capture_output=True, text=True, timeout=100, check=False
        )

    unmarked = run(tmp_path, "gaia", "doctor", "dev")
    assert "known: none; write one by gaia init URL, in the folder of your project" in unmarked.stderr
    checked = run(tmp_path, "python", "-c", FOLDERS)
    assert checked.returncode == 0, checked.stderr
    with serving() as url:
        written = run(project, "gaia", "init", url)
        assert "wrote suites/test_start_page.py" in written.stdout, written.stderr
        doctor = run(project / "suites", "gaia", "doctor", "dev")
        assert re.search(r"^judged .*dev\.start_page", doctor.stdout, re.MULTILINE), doctor.stdout + doctor.stderr
        gate = run(tmp_path, str(project / "gate.sh"), "--complete", "-k", "start_page or health")
    assert gate.returncode == 1, gate.stdout + gate.stderr
    verdict = json.loads((project / "reports" / "dev" / "latest" / "verdict.json").read_text())
    states = {each["id"]: each["state"] for each in verdict["criteria"]}
    report = (project / "reports" / "dev" / "latest" / "report.html").read_text()
    assert "dev.health" in report
    assert f"npm install --prefix {project}/.venv/allure allure@3" in report
    assert (states["dev.start_page"], states["dev.health"]) == ("pass", "fail"), gate.stdout

"""Every command of docs/how-to/first-release.md, read from the page and run in a clone of this project."""

import os
import re
import shutil
import subprocess
from pathlib import Path

from gaia_checks.deploy.supervisor.spawn import free_port
from gaia_checks.environment.project import ROOT

PAGE = "docs/how-to/first-release.md"
PORTS = ("8721", "8722", "8723")


def blocks(page: str) -> list[str]:
    """Return the blocks of shell commands of a page, in order."""
    return re.findall(r"^```bash\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)


def test_every_command_of_the_page_runs(tmp_path: Path) -> None:
    """A release is built, deployed to dev, gated, signed off, promoted and deployed to qa by the page's commands."""
    project = tmp_path / "project"
    subprocess.run(("git", "clone", "--quiet", str(ROOT), str(project)), check=True)
    for cached in (ROOT / "build").glob(".dependencies-*"):
        shutil.copytree(cached, project / "build" / cached.name)
    page = (project / PAGE).read_text()
    for port in PORTS:
        assert port in page
        page = page.replace(port, str(free_port()))
    script = "\n".join(("set -eu", "make install", ". .venv/bin/activate", *blocks(page)))
    done = run(project, script)
    try:
        assert done.returncode == 0, done.stdout + done.stderr
        assert re.search(r"^PASS \(exit code 0\)", done.stdout, re.MULTILINE)
        assert git(project, "cat-file", "-t", "deploy/qa/phase-1") == "tag"
        assert "qa: stopped" in done.stdout
    finally:
        run(project, ". .venv/bin/activate; gaia stop dev; gaia stop qa")


def run(project: Path, script: str) -> subprocess.CompletedProcess[str]:
    """Run a script as somebody whose home is empty and whose git knows a name."""
    home = project.parent / "home"
    home.mkdir(exist_ok=True)
    (home / ".gitconfig").write_text("[user]\nname = me\nemail = me@example.org\n")
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("GAIA_", "PYTEST_", "PYTHON"))}
    environment = clean | {"HOME": str(home), "GIT_CONFIG_NOSYSTEM": "1"}
    return subprocess.run(
        ("bash", "-c", script), cwd=project, env=environment, capture_output=True, text=True, check=False
    )


def git(project: Path, *words: str) -> str:
    """Run git; return what it wrote."""
    return subprocess.run(("git", *words), cwd=project, check=True, capture_output=True, text=True).stdout.strip()

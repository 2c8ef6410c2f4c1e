"""`gaia init`: what it writes is valid as it stands, with every comment taken away, and gates a server at once."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from gaia_checks import starter
from gaia_checks.environment import environment_file
from gaia_checks.environment.project import ROOT
from gaia_checks.errors import ConfigurationError
from gaia_checks.judge import criteria_file
from tests.docs.commands import to_run
from tests.probes.servers import serving
from tests.support.ground import ground

URL = "https://ours.example:8443/api"
DEV = "environments/dev.toml"


def test_the_environment_and_the_criteria_are_valid(tmp_path: Path) -> None:
    """The address is in it, the criteria are found from it, and their test is beside them."""
    written = list(starter.write(URL, tmp_path))
    where = environment_file.load(str(tmp_path / DEV))
    assert where.base_url == URL
    assert "dev.start_page" in {each.id for each in criteria_file.load(own=where.criteria).for_stage("dev")}
    assert "wrote suites/test_start_page.py" in written
    assert (tmp_path / "reports" / ".gitignore").read_text() == "*\n"


def test_every_setting_in_a_comment_is_valid(tmp_path: Path) -> None:
    """Whoever removes the `# ` before a setting gets one that is understood; the adapter loads and changes nothing."""
    list(starter.write(URL, tmp_path))
    file = tmp_path / DEV
    settings = re.compile(r"^# (?=\[looks|\"?[\w/]+\"? = )", re.MULTILINE)
    assert len(settings.findall(file.read_text())) == 8
    file.write_text(settings.sub("", file.read_text()))
    where = environment_file.load(str(file))
    assert (str(where.log), where.names.paths["/health"]) == ("/var/log/ours.log", "/healthz")
    assert "class Ours(Adapter)" in where.names.adapter
    assert where.looks == {"load": {"window_s": 60}}


def test_what_exists_is_kept(tmp_path: Path) -> None:
    """Running it again changes nothing."""
    list(starter.write(URL, tmp_path))
    before = (tmp_path / DEV).read_text()
    again = list(starter.write("http://127.0.0.1:1", tmp_path))
    assert f"kept {DEV}, which exists" in again
    assert not [line for line in again if line.startswith("wrote")]
    assert (tmp_path / DEV).read_text() == before


@pytest.mark.parametrize(
    ("url", "folder", "message"),
    [
        ("ours:8080", "", 'gaia init: environment.base_url: .* is no URL; write e.g. "http://127.0.0.1:8080"'),
        ("http://me:secret@ours", "", "no user or password belongs there"),
        (URL, str(ROOT / "docs"), "belongs to gaia-checks; run gaia init in the folder of your own project"),
    ],
)
def test_nothing_is_written_for_a_wrong_address_or_folder(tmp_path: Path, url: str, folder: str, message: str) -> None:
    """The refusal comes before the first file."""
    with pytest.raises(ConfigurationError, match=message):
        list(starter.write(url, Path(folder) if folder else tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_a_project_of_somebody_is_gated_at_once(tmp_path: Path) -> None:
    """By the commands of own-server.md, and by its own script; environments and reports are the project's."""
    install, *commands = to_run("docs/how-to/own-server.md#gate-a-server-of-your-own")
    assert install.startswith("pip install ")  # by tests/test_wheel.py
    assert [command.split()[0] for command in commands] == ["gaia", "export", "gaia", "pytest", "pytest"]
    assert to_run("starter/gate.sh")[-1] == 'exec pytest -c gaia.ini --env=dev "$@"'
    programs = tmp_path / "programs"
    programs.mkdir()
    for name, module in (("gaia", "gaia_checks.cli"), ("pytest", "pytest")):
        (programs / name).write_text(f'#!/bin/sh\nexec {sys.executable} -m {module} "$@"\n')
        (programs / name).chmod(0o755)
    with serving() as url, ground(database="external", ADMIN_TOKEN="a-token-of-sixteen") as place:
        variables = {name: value for name, value in place.variables.items() if name != "GAIA_REPORTS"}
        variables["PATH"] = f"{programs}{os.pathsep}{os.environ['PATH']}"

        def run(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
            return subprocess.run(
                command, cwd=folder, env=variables, capture_output=True, text=True, timeout=100, check=False
            )

        script = "\n".join(commands).replace("http://127.0.0.1:8080", url).replace("=...", "=a-token-of-sixteen")
        done = run(tmp_path, "bash", "-c", f"{script} -k start_page")
        assert done.returncode == 8, done.stdout + done.stderr
        assert "dry run of the gate dev" in done.stdout
        doctor = run(tmp_path / "suites", "gaia", "doctor", "dev")
        assert re.search(r"^judged .*dev\.start_page", doctor.stdout, re.MULTILINE), doctor.stdout + doctor.stderr
        gate = run(tmp_path, str(tmp_path / "gate.sh"), "-k", "start_page")
    assert gate.returncode == 8, gate.stdout + gate.stderr
    verdict = json.loads((tmp_path / "reports" / "dev" / "latest" / "verdict.json").read_text())
    states = {each["id"]: each["state"] for each in verdict["criteria"]}
    assert states["dev.start_page"] == "pass", gate.stdout
    assert states["dev.health"] == "inconclusive"

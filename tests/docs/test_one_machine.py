"""From nothing to a promoted release by docs/how-to/first-release.md; the other pages' commands then run beside it."""

import json
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from gaia_checks.deploy.supervisor.spawn import free_port
from tests.docs import pages
from tests.docs.commands import to_run
from tests.docs.machine import Machine
from tests.docs.test_promotion_commands import PROMOTES
from tests.load.processes import result
from tests.load.views.test_compare import K6
from tests.support import plain_http

FIRST_RELEASE = (
    "docs/how-to/first-release.md#from-nothing-to-a-promoted-release",
    "docs/how-to/first-release.md#1-a-remote-of-your-own",
    "docs/how-to/first-release.md#2-three-environments",
    "docs/how-to/first-release.md#3-who-may-sign",
    "docs/how-to/first-release.md#4-a-release",
    "docs/how-to/first-release.md#5-deploy-it-to-dev-and-gate-it",
    "docs/how-to/first-release.md#6-let-it-into-qa",
)
STOP = "docs/how-to/first-release.md#7-stop-everything"
SECOND = {"phase-11.4": "phase-2"}


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """The clone that docs/deploy/running.md makes, installed as CONTRIBUTING.md says; all is stopped at the end."""
    made = Machine(tmp_path_factory.mktemp("machine"))
    made.run(*to_run("docs/deploy/running.md#user-folders-variables"), names={"/var/": f"{made.folder}/var/"})
    made.take_dependencies()
    assert to_run("CONTRIBUTING.md#contributing") == ["make install"]
    made.run("make install")
    try:
        yield made
    finally:
        made.run("for environment in dev qa local; do gaia stop $environment || true; done")


@pytest.fixture(scope="module")
def promoted(machine: Machine) -> str:
    """What the commands of first-release.md print, but for those that stop everything."""
    return machine.run(*(command for section in FIRST_RELEASE for command in to_run(section)))


@pytest.fixture(scope="module")
def two_phases(machine: Machine, promoted: str) -> Machine:
    """The machine, with phase-2 in dev after phase-1: by a tag, and by hand as running.md says."""
    assert promoted
    machine.run(*to_run("docs/deploy/running.md#first-deployment"), names=SECOND)
    assert (machine.folder / "systemd" / "gaia-watch@.service").exists()
    by_hand = "gaia deploy dev phase-11.4"
    assert by_hand in pages.inline_code("docs/deploy/running.md")
    assert "phase-2" in machine.run(by_hand, "gaia status dev", names=SECOND)
    return machine


def test_the_folders_are_for_the_account_that_deploys(machine: Machine) -> None:
    """As closed as the page says."""
    modes = {name: (machine.folder / name).stat().st_mode & 0o777 for name in ("var/lib/gaia", "var/log/gaia", "etc")}
    assert modes == {"var/lib/gaia": 0o711, "var/log/gaia": 0o750, "etc": 0o750}


def test_a_release_is_promoted(machine: Machine, promoted: str) -> None:
    """Built, deployed to dev, gated, signed off, promoted by a signed tag, and deployed to qa."""
    assert re.search(r"^PASS \(exit code 0\)", promoted, re.MULTILINE)
    assert "tag\n" in machine.run("git cat-file -t deploy/qa/phase-1")
    assert re.search(r"^qa +release +running +phase-1,", promoted, re.MULTILINE), promoted


def test_the_commands_of_the_readme_run(two_phases: Machine) -> None:
    """One after another: what is deployed serves, `serve` and `watch` end with Ctrl-C, and so does what they began."""
    local = two_phases.project / "environments" / "local.toml"
    local.write_text(two_phases.own(local.read_text()))
    once = {"rollback qa": "rollback dev", "gaia serve": "gaia serve --port 0"}
    ready = {"serve": "serving http://127.0.0.1:", "watch": "phase-1: gating"}
    for command in to_run("README.md#deploying"):
        if PROMOTES.match(command):
            continue  # run by test_promotion_commands.py, before there is a promotion
        says = next((line for word, line in ready.items() if f"gaia {word}" in command), None)
        if says:
            with two_phases.running(command, says=says, names=once):
                pass
        else:
            two_phases.run(command, names=once)
    assert re.search(r"^release +phase-1,", two_phases.run("gaia status dev"), re.MULTILINE)
    assert (two_phases.home / ".bash_completions" / "gaia.sh").exists()


def test_a_release_is_rolled_back_at_night(two_phases: Machine) -> None:
    """The page's two commands, for dev: phase-2 serves, and then phase-1 again."""
    dev = {" prod": " dev", "phase-11.3": "phase-2"}
    to = "gaia rollback prod --to phase-11.3"
    assert to in pages.inline_code("docs/how-to/roll-back.md")
    two_phases.run(to, names=dev)
    commands = to_run("docs/how-to/roll-back.md#rolling-back-at-3-am")
    printed = two_phases.run(*commands, "gaia status dev", names=dev)
    assert re.findall(r"^release +(phase-\d)", printed, re.MULTILINE) == ["phase-2", "phase-1"]


def test_the_wall_is_served_and_read_by_a_script(two_phases: Machine) -> None:
    """Without and with a token; curl gets every environment."""
    with two_phases.running(
        *to_run("docs/how-to/wall.md#show-every-environment-on-a-wall"), says="serving http://127.0.0.1:",
        names={"gaia serve": "gaia serve --port 0"},
    ):  # fmt: skip
        pass
    port = str(free_port())
    here = {"0.0.0.0": "127.0.0.1", "8720": port, "wall.example.org": "127.0.0.1"}
    export, serve, curl = to_run("docs/how-to/wall.md#for-other-machines")
    token = two_phases.run(export, "printenv GAIA_SERVE_TOKEN").strip()
    assert len(token) == 32
    with two_phases.running(f"export GAIA_SERVE_TOKEN={token}", serve, says="GAIA_SERVE_TOKEN", names=here):
        assert plain_http.get(f"http://127.0.0.1:{port}/status.json", trust_env=False).status_code == 401
        answer = two_phases.run(f"export GAIA_SERVE_TOKEN={token}", f"{curl} --silent", names=here)
    assert '"phase-1"' in answer


def test_the_commands_of_looking_run(two_phases: Machine) -> None:
    """The table of all environments, and what jq finds in the ledger: each gate, its verdict and its evidence."""
    status, jq = to_run("docs/deploy/running.md#looking")
    assert re.search(r"^qa +next ", two_phases.run(status), re.MULTILINE)
    note = (
        "from gaia_checks.deploy.state import deployment_ledger as ledger; from gaia_checks.environment import "
        "environment_file as file; ledger.note(file.load('dev'), 'dev', 'phase-1', 'gate', 'pass', evidence='/reports')"
    )
    logs = {"/var/log/gaia": ".gaia/log"}
    last = two_phases.run(f'python -c "{note}"', jq, names=logs).splitlines()[-1].split("\t")
    assert last[1:] == ["dev", "phase-1", "pass", "/reports"]


def test_loads_are_sent_and_compared(two_phases: Machine, tmp_path: Path) -> None:
    """Each load for 2 s, in which no threshold can be proven; the comparison shows what was sent."""
    (two_phases.project / "k6-summary.json").write_text(json.dumps({"metrics": K6}))
    names = {
        ".gaia/local": ".gaia/dev",
        "127.0.0.1:8711": f"127.0.0.1:{two_phases.names['8721']}",
        "--host URL": f"--host http://127.0.0.1:{two_phases.names['8721']}",
        "-t 10s": "-t 2s",
        "-t 60s": "-t 2s",
    }
    url, token, *loads = to_run("docs/load.md#from-the-command-line")
    readme, compare = to_run("README.md#load")
    for number, load in enumerate([*loads, readme]):
        folder = two_phases.project / "reports" / "local" / "latest" if load == readme else tmp_path / str(number)
        undecided = f"{load} --folder {folder} || [[ $? =~ ^[18]$ ]]"  # 1 only where the machine is very busy
        two_phases.run(url, token, undecided, names=names)
        assert result(folder)["done"] > 0
    assert re.search(r"^requests +200 +6,000 ", two_phases.run(compare), re.MULTILINE)


def test_the_units_are_valid_and_the_server_takes_a_socket(two_phases: Machine, database: str) -> None:
    """As systemd sees them, with the paths of this machine; the link leads to a release."""
    releases = two_phases.project / ".gaia" / "releases" / "qa"
    release = next(path.parent for path in releases.glob("*/gaia_server"))
    names = {"/var/lib/gaia": str(two_phases.project / ".gaia"), "phase-11.5-0123456789ab": release.name}
    two_phases.run(*to_run("docs/deploy/running.md#systemd-in-place-of-gaias-supervisor"), names=names)
    assert (releases / "current").resolve() == release
    verify, activate = to_run("docs/deploy/running.md#how-the-units-were-checked")
    units = two_phases.folder / "systemd"
    for unit in units.iterdir():
        unit.write_text(two_phases.own(unit.read_text(), names))
    assert two_phases.run(f"cd {units}", verify) == ""
    (releases / "current").unlink()
    port = free_port()
    with subprocess.Popen(
        ("bash", "-c", f"exec {activate.replace('8080', str(port))}"), cwd=two_phases.project,
        env={**two_phases.variables, "DATABASE_URL": database, "SHIV_ROOT": str(two_phases.folder / "unpacked")},
        stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stderr is not None
        assert "Listening on" in process.stderr.readline()
        assert plain_http.get(f"http://127.0.0.1:{port}/livez", timeout=60, trust_env=False).status_code == 200
        process.send_signal(signal.SIGTERM)
        process.stderr.read()
    assert process.returncode == 0


def test_everything_is_stopped(two_phases: Machine) -> None:
    """By the last commands of first-release.md."""
    printed = two_phases.run(*to_run(STOP))
    assert "dev: stopped" in printed
    assert "qa: stopped" in printed

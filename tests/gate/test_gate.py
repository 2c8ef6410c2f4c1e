"""A gate from the command line to its exit code."""

import json
import re
import signal
import socket
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit

import pytest

from gaia_checks import jsonl
from gaia_checks.judge import criteria_file
from tests.support import plain_http
from tests.support.ground import Ground, Outcome, ground, until

CANARIES = {
    "ADMIN_TOKEN": "canary-admin-token-7f3a",
    "ANTHROPIC_API_KEY": "canary-anthropic-key-91bd",
}

LONG_LOOKS = {
    "qa.load", "qa.rate_limiting", "qa.websocket_soak", "prod.success_rate", "prod.latency", "prod.memory",
    "prod.connections",
}  # fmt: skip

PASSWORD = "canary-database-password-c05e"

SKIP_EVERYTHING = """
import pytest
def pytest_collection_modifyitems(items):
    for item in items:
        item.add_marker(pytest.mark.skip(reason="not today"))
"""

DEV = {"process", "database", "migrations", "health", "api", "websocket", "log"}


@pytest.fixture(scope="module")
def place(executable: Path, postgres: str) -> Iterator[Ground]:
    """A healthy server on a database of its own, with canaries for every secret."""
    socket_folder = parse_qs(urlsplit(postgres).query)["host"][0]
    database_url = f"postgresql://postgres:{PASSWORD}@/gaia_gate?host={quote(socket_folder)}"
    with ground(database="external", DATABASE_URL=database_url, **CANARIES) as made:
        made.deploy(executable, made.environment_file())
        yield made


@pytest.fixture
def running(place: Ground) -> Path:
    """The environment file of a server that already runs."""
    return place.environment_file(base_url=place.url)


@pytest.fixture(scope="module")
def passed(place: Ground) -> "tuple[Ground, Outcome]":
    """Run one passing gate that several tests examine."""
    return place, place.gate(place.environment_file(base_url=place.url))


def test_a_healthy_server_passes(passed: tuple[Ground, Outcome]) -> None:
    """It exits with 0, and every dev criterion passes."""
    _, outcome = passed
    assert outcome.code == 0, outcome.output
    assert outcome.states == {f"dev.{name}": "pass" for name in DEV}


def test_the_table_shows_the_measurements(passed: tuple[Ground, Outcome]) -> None:
    """The terminal shows claim, measured value, threshold, n and state, one row per criterion."""
    _, outcome = passed
    row = next(line for line in outcome.output.splitlines() if "Health endpoint returns 200" in line)
    assert re.search(r"dev\.health\s+Health endpoint returns 200\s+100 %\s+–\s+100 %\s+19\s+✓ pass", row), row


def test_the_last_line_is_the_verdict(passed: tuple[Ground, Outcome]) -> None:
    """What a person and a CI read last: the state, the exit code in words and where the report is."""
    _, outcome = passed
    *_, summary, last = outcome.output.strip().splitlines()
    assert f"{len(DEV)} passed" in summary
    assert last.startswith(f"PASS (exit code 0): {len(DEV)} of {len(DEV)} criteria passed; report ")


def test_all_files_of_the_evidence_agree(passed: tuple[Ground, Outcome]) -> None:
    """JUnit, Allure and the verdict agree on every criterion; the report is one file without requests."""
    _, outcome = passed
    junit = ET.parse(outcome.folder / "junit.xml").getroot()[0]  # noqa: S314 - our own file
    assert (int(junit.get("tests", 0)), int(junit.get("failures", 1)), int(junit.get("errors", 1))) == (len(DEV), 0, 0)
    allure = [json.loads(path.read_text()) for path in (outcome.folder / "allure-results").glob("*-result.json")]
    assert [result["status"] for result in allure] == ["passed"] * len(DEV)
    report = (outcome.folder / "report.html").read_text()
    assert "googletagmanager" not in report
    for name in ("verdict.md", "server.log", "criteria.toml", "environment.toml", "timelines/log.jsonl"):
        assert name in outcome.verdict["files"], name


def test_the_verdict_can_be_judged_again(passed: tuple[Ground, Outcome]) -> None:
    """`gaia verdict show FOLDER` reaches the same verdict; after a change to a file it refuses to."""
    place, outcome = passed
    again = place.run("gaia_checks.cli", "verdict", "show", str(outcome.folder))
    assert again.returncode == 0, again.stdout + again.stderr
    measurements = outcome.folder / "measurements.jsonl"
    original = measurements.read_text()
    measurements.write_text(original.replace('"value":19', '"value":18', 1))
    changed = place.run("gaia_checks.cli", "verdict", "show", str(outcome.folder))
    measurements.write_text(original)
    assert changed.returncode == 8
    assert "measurements.jsonl" in changed.stdout + changed.stderr


def test_no_secret_is_written_anywhere(passed: tuple[Ground, Outcome]) -> None:
    """Canary values for every secret are in no file below reports and logs, and not on the terminal."""
    place, outcome = passed
    written = {"terminal": outcome.output}
    for folder in ("reports", "log"):
        for path in (place.folder / folder).rglob("*"):
            if path.is_file():
                written[str(path)] = path.read_bytes().decode(errors="replace")
    assert len(written) > 10
    for value in (PASSWORD, *CANARIES.values()):
        assert [name for name, text in written.items() if value in text] == []


def test_nothing_is_left_in_the_target(passed: tuple[Ground, Outcome]) -> None:
    """No rule carries a run id after the gate, and no row of any table."""
    place, outcome = passed
    assert rules_of_gates(place) == []
    rows_left = {each["name"]: each for each in jsonl.read(outcome.folder / "measurements.jsonl")}["gate.rows_left"]
    assert (rows_left["value"], rows_left["notes"]) == (0, [])
    assert rows_left["n"] >= 10


def test_every_measurement_has_a_check_or_a_reason(passed: tuple[Ground, Outcome]) -> None:
    """Nothing is measured that decides nothing, unless criteria.toml says why."""
    _, outcome = passed
    names = [each["name"] for each in jsonl.read(outcome.folder / "measurements.jsonl")]
    assert criteria_file.load().unexplained(names) == []


def test_workers_reach_the_same_verdict(place: Ground, running: Path, passed: tuple[Ground, Outcome]) -> None:
    """With four xdist workers every criterion has the state that it has without."""
    _, alone = passed
    outcome = place.gate(running, "-n", "4")
    assert outcome.code == 0, outcome.output
    assert outcome.states == alone.states


def test_nothing_selected_passes_nothing(place: Ground, running: Path) -> None:
    """`-k nothing` keeps pytest's own exit code, and every criterion is reported as not checked."""
    outcome = place.gate(running, "-k", "nothing")
    assert outcome.code == 5, outcome.output
    assert set(outcome.not_passed()) == {f"dev.{name}" for name in DEV}
    assert "dev.health" in outcome.output


def test_skipped_tests_pass_nothing(place: Ground, running: Path) -> None:
    """With every test skipped the gate is inconclusive, with the reason."""
    (place.folder / "skip_everything.py").write_text(SKIP_EVERYTHING)
    outcome = place.gate(running, "-p", "skip_everything", PYTHONPATH=str(place.folder))
    assert outcome.code == 8, outcome.output
    assert set(outcome.not_passed()) == {f"dev.{name}" for name in DEV}
    assert "not today" in outcome.not_passed()["dev.health"]
    assert f"INCONCLUSIVE (exit code 8): 0 of {len(DEV)} criteria passed, {len(DEV)} undecided" in outcome.output


def test_a_killed_gate_passes_nothing_and_the_next_one_cleans_up(place: Ground, running: Path) -> None:
    """After SIGKILL half-way the evidence is inconclusive, and the next gate removes the temporary rule."""
    before = place.latest
    gate = place.start("pytest", f"--env={running}")
    until(lambda: place.latest != before and "health.good" in place.measured())
    gate.send_signal(signal.SIGKILL)
    gate.communicate()
    killed = place.run("gaia_checks.cli", "verdict", "show", str(place.latest))
    assert killed.returncode == 8, killed.stdout + killed.stderr
    assert "dev.log" in killed.stdout
    place.gate(running, "-k", "health")
    assert rules_of_gates(place) == []


def test_ctrl_c_ends_in_order(place: Ground, running: Path) -> None:
    """SIGINT gives pytest's exit code 2 and an inconclusive verdict; the temporary rules are removed."""
    before = place.latest
    gate = place.start("pytest", f"--env={running}")
    until(lambda: place.latest != before and "health.good" in place.measured())
    gate.send_signal(signal.SIGINT)
    output, _ = gate.communicate(timeout=60)
    assert gate.returncode == 2, output
    assert output.splitlines()[-1].startswith("INCONCLUSIVE (exit code 2, interrupted): ")
    assert json.loads((place.latest / "verdict.json").read_text())["state"] == "inconclusive"
    assert rules_of_gates(place) == []


def test_a_gate_deploys_its_target_and_stops_it_again() -> None:
    """Without a running server the gate deploys the working tree, passes, and leaves nothing running."""
    with ground() as made:
        file = made.environment_file()
        outcome = made.gate(file)
        status = json.loads(made.run("gaia_checks.cli", "status", str(file), "--json").stdout)
    assert outcome.code == 0, outcome.output
    assert status["state"] == "stopped"


CANNOT_STOP = """
from gaia_checks.deploy import rollout
from gaia_checks.errors import DeployError

def stop(environment):
    raise DeployError("the supervisor does not answer")

rollout.stop = stop
"""


def test_a_server_that_cannot_be_stopped_takes_no_verdict() -> None:
    """What was observed stands; a line says what is left, and the command that stops it."""
    with ground() as made:
        (made.folder / "cannot_stop.py").write_text(CANNOT_STOP)
        outcome = made.gate(made.environment_file(), "-p", "cannot_stop", PYTHONPATH=str(made.folder))
    assert outcome.code == 0, outcome.output
    assert outcome.verdict["state"] == "pass"
    said = "cannot stop the server that this gate started, run gaia stop ground: the supervisor does not answer"
    assert said in " ".join(outcome.output.split())


def test_a_gate_that_is_interrupted_while_it_opens_leaves_nothing_running() -> None:
    """On Ctrl-C while the server starts pytest does not finish the session, so the gate cleans up."""
    with ground() as made:
        file = made.environment_file()
        gate = made.start("pytest", f"--env={file}")
        assert gate.stdout is not None
        while "starting" not in gate.stdout.readline():
            assert gate.poll() is None
        gate.send_signal(signal.SIGINT)
        output, _ = gate.communicate(timeout=60)
        status = json.loads(made.run("gaia_checks.cli", "status", str(file), "--json").stdout)
    assert gate.returncode == 2, output
    assert output.splitlines()[-1] == ("INCONCLUSIVE (exit code 2, interrupted): stopped before its first measurement")
    assert status["state"] == "stopped"


def test_prod_is_measured_or_openly_inconclusive(place: Ground, running: Path) -> None:
    """With --stage=prod no criterion is silently missing: each passes or names what was not measured.

    A measured criterion may still be inconclusive here: windows are short, and a generator on a busy machine is
    unreliable.
    """
    outcome = place.gate(running, "--stage=prod", "-n", "4", "--complete")  # also on a machine too small for it
    assert outcome.code == 8, outcome.output
    assert outcome.states.keys() == {criterion.id for criterion in criteria_file.load().criteria}
    *_, summary, last = outcome.output.strip().splitlines()
    assert " inconclusive" in summary
    assert " failed" not in summary
    assert last.startswith("INCONCLUSIVE (exit code 8): ")
    assert "fail" not in outcome.states.values(), outcome.not_passed()
    measured = {c["id"] for c in outcome.verdict["criteria"] if all(check["n"] > 0 for check in c["checks"])}
    assert measured >= {f"dev.{name}" for name in DEV} | LONG_LOOKS | {"prod.monitoring"}, outcome.not_passed()
    not_applicable = {"prod.certificate", "prod.no_regression", "qa.instances"}
    assert {name for name, state in outcome.states.items() if state == "not applicable"} == not_applicable
    assert "prod.no_regression: no previous release is kept here" in outcome.output
    undecided = {name: why for name, why in outcome.not_passed().items() if name not in not_applicable}
    assert all(why.startswith("inconclusive: ") and len(why) > 20 for why in undecided.values())
    junit = ET.parse(outcome.folder / "junit.xml").getroot()[0]  # noqa: S314 - our own file
    skipped = {case.get("name") for case in junit if case.find("skipped") is not None}
    assert skipped == {
        *("test_certificate_valid", "test_no_worse_than_the_previous_release", "test_instances_serve_as_one")
    }
    assert "3 not applicable" in summary
    assert last.partition("; report ")[0].endswith(" undecided, 3 not applicable")
    again = place.run("gaia_checks.cli", "verdict", "show", str(outcome.folder))
    assert "– not applicable" in again.stdout


# what a user can get wrong ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--env=nowhere"], "nowhere: no such environment"),
        (["--env=local", "--stage=production"], "--stage: 'production' is not a stage; choose from dev, qa, prod"),
        (["--env=local", "--collect-only"], "--collect-only together with --env would exit with 0 without measuring"),
        (["--env=local", "--setup-plan"], "--setup-plan together with --env would exit with 0 without measuring"),
        (["--env=local", "--fixtures"], "--fixtures together with --env would exit with 0 without measuring"),
        (["--env=local", "--markers"], "--markers together with --env would exit with 0 without measuring"),
        (["--env=local", "--cache-show"], "--cache-show together with --env would exit with 0 without measuring"),
        (["--stage=qa"], "--stage requires --env"),
        (["suites"], "the suites measure a running server; name its environment: pytest --env=local"),
        (["--env=qa"], "qa: "),
    ],
)
def test_a_wrong_command_is_one_clear_line(options: list[str], message: str) -> None:
    """It exits with 4 and one line that says what to do, without a traceback."""
    with ground() as made:
        done = made.run("pytest", *options)
    lines = [line for line in (done.stdout + done.stderr).splitlines() if line.startswith("ERROR")]
    assert done.returncode == (8 if options == ["--env=qa"] else 4), done.stdout + done.stderr
    if options != ["--env=qa"]:
        assert len(lines) == 1, done.stdout + done.stderr
        assert message in lines[0]
    assert "Traceback" not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (('stage = "dev"', 'stge = "dev"'), "ground.toml: environment.stge: unknown key; known here: "),
        (('stage = "dev"', 'stage = "test"'), "ground.toml: environment.stage: 'test' is not one of dev, qa, prod"),
        (("requests = 10", "requests = 0"), "ground.toml: looks.health.requests: 0 is not above 0; give a number"),
        (("requests = 10", "reqests = 10"), "ground.toml: looks.health.reqests: unknown key; known here: requests"),
    ],
)
def test_a_typo_in_an_environment_file_is_named(change: tuple[str, str], message: str) -> None:
    """The message names file, key and the allowed values."""
    with ground() as made:
        file = made.environment_file()
        file.write_text(file.read_text().replace(*change))
        outcome = made.gate(file)
        file.unlink()
    assert outcome.code == 4, outcome.output
    assert message in outcome.output
    assert "Traceback" not in outcome.output


def test_a_secret_that_is_a_word_of_the_evidence_is_refused() -> None:
    """Redacting it would destroy the evidence; the message names the variable but not the secret."""
    with ground() as made:
        done = made.run("pytest", f"--env={made.environment_file()}", ADMIN_TOKEN="threshold")
    assert done.returncode == 4, done.stdout + done.stderr
    assert "ground: ADMIN_TOKEN is part of a word of every report" in done.stdout + done.stderr


def test_a_port_in_use_is_named_with_its_owner() -> None:
    """The message names the port and what to do."""
    with ground() as made, socket.create_server(("127.0.0.1", made.port)):
        outcome = made.gate(made.environment_file())
    assert outcome.code == 4, outcome.output
    assert f"port {made.port} is in use" in outcome.output
    assert "Traceback" not in outcome.output


@pytest.mark.parametrize("variable", ["GAIA_REPORTS", "GAIA_HOME"])
def test_a_folder_that_cannot_be_written_is_named(variable: str) -> None:
    """The message names the folder, which even root cannot write to, and the variable."""
    with ground() as made:
        outcome = made.gate(made.environment_file(), **{variable: "/proc/gaia"})
    assert outcome.code == 4, outcome.output
    assert "/proc/gaia" in outcome.output
    assert variable in outcome.output
    assert "Traceback" not in outcome.output


def test_two_gates_at_once_are_refused(place: Ground, running: Path) -> None:
    """The second gate reports which run has the lock."""
    before = place.latest
    first = place.start("pytest", f"--env={running}")
    until(lambda: place.latest != before)
    first.send_signal(signal.SIGSTOP)  # so that it does not end before the second gate has checked the lock
    second = place.run("pytest", f"--env={running}")
    first.send_signal(signal.SIGCONT)
    first.send_signal(signal.SIGINT)
    first.communicate(timeout=60)
    assert second.returncode == 4, second.stdout + second.stderr
    assert f"another gate is running (run {place.latest.name}" in second.stdout + second.stderr


# ---------------------------------------------------------------------------------------------------


def rules_of_gates(place: Ground) -> list[str]:
    """Return the names of the rules in the target that belong to a gate."""
    token = {"Authorization": f"Bearer {CANARIES['ADMIN_TOKEN']}"}
    rules = plain_http.get(f"{place.url}/api/admin/quotas/config?limit=100", headers=token).json()["items"]
    return [rule["rule_name"] for rule in rules if rule["rule_name"].startswith("client-")]

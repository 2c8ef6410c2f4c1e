"""`gaia` alone: the path of a release, how far it came on this machine, and the command that comes next."""

from dataclasses import replace
from pathlib import Path

import pytest

from gaia_checks import cli
from gaia_checks.deploy.state import deployment_ledger, paths, supervisor_state
from gaia_checks.deploy.state.supervisor_state import Running, SupervisorState
from gaia_checks.environment import environment_file
from gaia_checks.environment.environment import Environment
from gaia_checks.model import Release, State, Verdict
from gaia_checks.promotion import standing
from gaia_checks.promotion.standing import ReleaseStanding, next_step
from gaia_checks.report import evidence

DEV = """
[environment]
stage = "dev"
database = "none"
host = "127.0.0.1"
required = []
[environment.defaults]
PORT = "8799"
"""
RELEASE = Release("phase-1", "c" * 40, "a" * 64, {})
PASSED = Verdict("dev", "dev", "run", "2999-02-26T10:00:00.000Z", 60.0, State.PASS, False, RELEASE, ())
HERE = ReleaseStanding(
    "dev", "phase-1", running=True, verdict=PASSED, report=Path("reports/report.html"), following="qa"
)
GONE = Running(2**22 + 1, "of a process that is gone", 0.0)


@pytest.fixture
def dev(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Environment:
    """A project with the environments dev and qa, in which nothing was done yet."""
    for name in ("GAIA_HOME", "GAIA_LOG_DIR", "GAIA_REPORTS"):
        monkeypatch.setenv(name, str(tmp_path / name))
    (tmp_path / "environments").mkdir()
    for name in ("dev", "qa"):
        text = DEV.replace('stage = "dev"', f'stage = "{name}"')
        (tmp_path / "environments" / f"{name}.toml").write_text(text)
    for module in (environment_file, standing):
        monkeypatch.setattr(module, "PROJECT", tmp_path)
    monkeypatch.chdir(tmp_path)
    return environment_file.load("dev")


def shown(capsys: pytest.CaptureFixture[str]) -> dict[str, str]:
    """What `gaia` prints below the path: first word -> the rest."""
    assert cli.run([]) == 0
    out = capsys.readouterr().out
    assert out.startswith(standing.PATH)
    assert max(map(len, out.splitlines())) <= 80
    rows = (line.partition(" ") for line in out.removeprefix(standing.PATH).strip().splitlines())
    return {head: rest.strip() for head, _, rest in rows}


def serve(environment: Environment, server: Running) -> None:
    """Record phase-1 as the release in service."""
    here = paths.of(environment)
    paths.prepare(here)
    folder = str(here.releases / "phase-1-0123456789ab")
    supervisor_state.write(here.record, SupervisorState(server, "running", server, release=folder))
    deployment_ledger.append(
        environment, "d1", "deploy", "phase-1", "deployment", "finished", serves="phase-1-0123456789ab"
    )


def gate(environment: Environment, verdict: Verdict) -> None:
    """Leave the evidence of a finished gate."""
    folder = environment.reports / environment.name / "latest"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.html").touch()
    evidence.write_verdict(folder, verdict, {})


def test_a_release_on_its_way(dev: Environment, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing, a server, a server that crashed, a failed gate, one that passed, and the promotion: a next step each."""
    found = shown(capsys)
    assert (found["here"], found["next"]) == ("nothing was deployed or gated yet", "gaia doctor dev")
    serve(dev, GONE)
    assert shown(capsys)["next"] == "gaia doctor dev"
    serve(dev, supervisor_state.mine())
    found = shown(capsys)
    assert found["here"].split(maxsplit=1) == ["dev", "phase-1, running; gate: none finished"]
    assert found["next"] == "python -m pytest -c gaia.ini --env=dev"
    gate(dev, replace(PASSED, state=State.FAIL))
    found = shown(capsys)
    assert found["here"].endswith("phase-1, running; gate: fail 2999-02-26 10:00 UTC")
    assert found["next"] == "open GAIA_REPORTS/dev/latest/report.html"
    gate(dev, PASSED)
    assert shown(capsys)["next"] == "gaia checklist qa phase-1   what to sign off before gaia promote"
    deployment_ledger.note(dev, "qa", "phase-1", "promote", "cut")
    assert shown(capsys)["next"] == "gaia deploy qa phase-1"


def test_a_gate_of_an_earlier_release_counts_for_nothing(dev: Environment, capsys: pytest.CaptureFixture[str]) -> None:
    """What was deployed after the gate is not gated."""
    gate(dev, replace(PASSED, started_at="2020-02-26T10:00:00.000Z"))
    assert shown(capsys)["here"].endswith("phase-1, stopped here; gate: pass 2020-02-26 10:00 UTC")
    serve(dev, supervisor_state.mine())
    assert shown(capsys)["here"].endswith("phase-1, running; gate: none finished")


def test_a_gate_without_a_report_points_to_its_summary(dev: Environment, capsys: pytest.CaptureFixture[str]) -> None:
    """A gate has finished once its verdict is sealed, whether or not a report was rendered."""
    gate(dev, replace(PASSED, state=State.FAIL))
    folder = dev.reports / "dev" / "latest"
    (folder / "report.html").unlink()
    assert shown(capsys)["next"] == "open GAIA_REPORTS/dev/latest/verdict.md"
    evidence.write_verdict(folder, PASSED, None)
    assert shown(capsys)["here"] == "nothing was deployed or gated yet"


def test_what_cannot_be_read_is_a_remark(dev: Environment, capsys: pytest.CaptureFixture[str]) -> None:
    """A damaged record hides nothing of the other environment."""
    gate(dev, PASSED)
    damaged = paths.of(environment_file.load("qa")).record
    damaged.parent.mkdir(parents=True)
    damaged.write_text("{")
    assert cli.run([]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if f"{damaged}: damaged" in line]
    assert [line for line in lines if line.startswith("next   gaia checklist qa phase-1 ")]


@pytest.mark.parametrize(
    ("one", "command"),
    [
        (replace(HERE, verdict=replace(PASSED, state=State.INCONCLUSIVE)), "open reports/report.html"),
        (replace(HERE, verdict=replace(PASSED, rehearsal=True)), "python -m pytest --env=dev   with full windows: "),
        (replace(HERE, phase="worktree", verdict=replace(PASSED, rehearsal=True)), "gaia release PHASE   "),
        (replace(HERE, following=None), "nothing: it passed the last gate; after a change: "),
        (ReleaseStanding("local", "worktree", running=True), "make gate"),
    ],
)
def test_the_next_step(one: ReleaseStanding, command: str) -> None:
    """Each state has one command, or says why there is none."""
    assert next_step(one).startswith(command)


def test_nothing_set_up_in_the_clone_of_gaia_checks() -> None:
    """`make gate` brings everything up by itself."""
    assert standing.first_step().startswith("make gate ")

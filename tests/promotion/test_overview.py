"""Every environment on one screen, from real statements, tags and records; nothing that fails hides the others."""

import json
from pathlib import Path

import pytest

from gaia_checks import cli
from gaia_checks.deploy import rollout
from gaia_checks.environment import environment_file
from gaia_checks.promotion import overview
from gaia_checks.promotion.environment_row import ELSEWHERE, EnvironmentRow, next_step
from tests.deploy.conftest import stage
from tests.deploy.stage import Stage, lines
from tests.promotion.ground import PHASE, Ground

__all__ = ["stage"]

RUN = "20260226T100000Z-3fa9c1"


def rows(ground: Ground) -> dict[str, EnvironmentRow]:
    """The overview by environment."""
    return {row.environment: row for row in overview.overview(ground.origin.url)}


def test_a_release_on_its_way_shows_what_it_needs_in_every_stage(ground: Ground) -> None:
    """Tagged, gated, signed, promoted: each time the next command changes, known from the remote alone."""
    found = rows(ground)
    assert [*found][:2] == ["dev", "qa"]
    assert (found["dev"].state, found["dev"].phase, found["dev"].commit) == (ELSEWHERE, PHASE, ground.commit)
    assert (found["dev"].verdict, found["qa"].phase) == (None, None)
    assert next_step(found["dev"]) == f"gaia deploy dev {PHASE}"
    ground.gate()
    dev = rows(ground)["dev"]
    assert dev.verdict
    assert (dev.verdict.state, dev.verdict.by, dev.verdict.why) == ("pass", "gate-dev@example.test", None)
    assert (dev.unsigned, next_step(dev)) == (["maintainer"], f"gaia sign-off qa {PHASE} --item maintainer")
    ground.sign("ada")
    assert next_step(rows(ground)["dev"]) == f"gaia promote {PHASE} --to qa"
    ground.promote()
    found = rows(ground)
    assert next_step(found["dev"]) is None
    qa = found["qa"]
    assert (qa.promotion, qa.promoted_by) == (
        "signed",
        "tag signed by ada@example.test; signed off: maintainer by ada@example.test",
    )
    assert next_step(qa) == f"gaia deploy qa {PHASE}"


def test_a_failing_gate_revokes_what_was_valid(ground: Ground) -> None:
    """A later fail is the verdict, and the promotion that relied on the pass would be refused now."""
    ground.promoted_to_qa()
    ground.gate("20260227T100000Z-3fa9c2", failing="dev.health")
    found = rows(ground)
    verdict = found["dev"].verdict
    assert verdict
    assert (verdict.state, verdict.run) == ("fail", "20260227T100000Z-3fa9c2")
    assert "resulted in fail" in (verdict.why or "")
    assert found["qa"].promotion == "refused"
    assert found["qa"].lacks[0].startswith("the newest gate (run 20260227T100000Z-3fa9c2")
    assert next_step(found["dev"]) == "gaia history dev"


def test_a_verdict_that_nobody_may_sign_is_not_valid(ground: Ground) -> None:
    """Signed by a person's key: the evidence at hand is shown as unsigned."""
    folder = ground.gate(by="eve")
    assert folder.exists()
    dev = rows(ground)["dev"]
    assert dev.verdict
    assert (dev.verdict.run, dev.verdict.by, dev.verdict.why) == (RUN, None, "no signature of a gate on it counts")
    assert next_step(dev) == "python -m pytest --env=dev"


def test_a_remote_that_is_away_leaves_what_was_fetched_before(ground: Ground) -> None:
    """The rows stay, each with the remark; a machine that never fetched it knows nothing else."""
    ground.promoted_to_qa()
    before = rows(ground)
    ground.origin.away()
    after = rows(ground)
    assert after["qa"].promoted_by == before["qa"].promoted_by
    assert after["qa"].remarks[0].startswith("remote not reached, shown as last fetched: file://")
    ground.monkeypatch.setenv("GAIA_HOME", str(ground.folder / "another"))
    never = rows(ground)["qa"]
    assert (never.phase, never.remarks[0].partition(":")[0]) == (None, "remote not reached, shown as last fetched")


def test_one_broken_environment_hides_no_other(
    ground: Ground, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An unreadable file, a damaged record and a remote that is nowhere: three remarks, and dev as it is."""
    ground.gate()
    project = tmp_path / "project"
    (project / "environments").mkdir(parents=True)
    text = ground.environment("dev").path.read_text().replace('stage = "dev"', 'stage = "{}"\nremote = "{}"')
    for name, stage_name, url in (
        ("dev", "dev", ground.origin.url), ("qa", "qa", ground.origin.url), ("prod", "prod", "file:///nowhere"),
        ("wrong", "production", ""),
    ):  # fmt: skip
        (project / "environments" / f"{name}.toml").write_text(text.format(stage_name, url))
    ground.monkeypatch.setattr(environment_file, "PROJECT", project)
    (ground.environment("qa").home / "qa").mkdir(parents=True)
    (ground.environment("qa").home / "qa" / "state.json").write_text("{")
    assert cli.run(["status", "--all", "--json"]) == 0
    shown = {row["environment"]: row for row in json.loads(capsys.readouterr().out)}
    assert [*shown] == ["dev", "qa", "prod", "wrong"]
    assert (shown["dev"]["next"], shown["dev"]["remarks"]) == (f"gaia sign-off qa {PHASE} --item maintainer", [])
    assert "state.json" in shown["qa"]["remarks"][0]
    assert shown["prod"]["remarks"][0].startswith("remote not reached, shown as last fetched: file:///nowhere")
    assert "wrong.toml: environment.stage: 'production' is not one of" in shown["wrong"]["remarks"][0]
    assert cli.run(["status", "--all"]) == 0
    assert f"dev    next     -          gaia sign-off qa {PHASE} --item maintainer\n" in capsys.readouterr().out


def test_what_serves_here_is_shown_since_when(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """A deployed release, since it came into service; deployed again it still serves since then."""
    (stage.folder / "environments").mkdir()
    (stage.folder / "environments" / stage.file.name).write_text(stage.file.read_text())
    monkeypatch.setattr(environment_file, "PROJECT", stage.folder)
    for name, value in stage.variables.items():
        monkeypatch.setenv(name, value)
    for version in ("1", "2", "1"):
        stage.deploy(version)
    came = [line["at"] for line in lines(stage) if line["step"] == "deployment" and line["event"] == "finished"]
    stage.deploy("1")
    (row,) = overview.overview()
    assert (row.state, row.phase, row.since) == ("running", "worktree", came[-1])
    rollout.stop(stage.environment)
    (row,) = overview.overview()
    assert (row.state, row.phase) == ("stopped", None)

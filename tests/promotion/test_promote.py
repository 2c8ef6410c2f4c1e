"""Promotion: what it needs, what it leaves behind, and that all that is missing is named at once."""

import json

import pytest

from gaia_checks import cli
from gaia_checks.deploy.git.tag import Tag
from gaia_checks.errors import ConfigurationError, NotPromoted, RemoteUnreachable
from gaia_checks.promotion import admission, promote
from tests.promotion.ground import PHASE, Ground, envelope_of, items

RUN = "20260226T100000Z-3fa9c1"


def test_a_signed_off_pass_is_promoted_once(ground: Ground) -> None:
    """The next tag is signed, on the same commit, and names verdict and people; a second time nothing is left to do."""
    folder = ground.gate()
    assert ground.sign("ada") == f"qa: {PHASE}: Maintainer approval: signed by ada@example.test, for run {RUN}"
    assert ground.promote() == [
        f"the verdict was computed again from {folder}",
        (
            f"deploy/qa/{PHASE} cut on {ground.commit[:12]} and pushed: "
            f"gated in run {RUN}, signed off: maintainer by ada@example.test"
        ),
    ]
    assert ground.origin.tags()[f"deploy/qa/{PHASE}"] == ground.commit
    ground.origin.git("fetch", "--quiet", "--tags")
    message = ground.origin.git("tag", "--list", "--format=%(contents:body)", f"deploy/qa/{PHASE}")
    assert f"Verdict: {envelope_of(folder).digest} (dev, run {RUN}, by gate-dev@example.test)" in message
    assert "Signed-off: maintainer by ada@example.test " in message
    assert ground.promote() == [f"deploy/qa/{PHASE} is on {ground.commit[:12]} already"]
    assert ground.admit() == ground.commit


def test_without_the_evidence_the_signed_statement_is_relied_on(ground: Ground, tmp_path: object) -> None:
    """Three machines share nothing but the remote."""
    ground.gate()
    ground.monkeypatch.setenv("GAIA_HOME", f"{tmp_path}/elsewhere")
    ground.monkeypatch.setenv("GAIA_LOG_DIR", f"{tmp_path}/elsewhere/log")
    ground.monkeypatch.setenv("GAIA_REPORTS", f"{tmp_path}/elsewhere/reports")
    ground.sign("ada")
    assert ground.promote()[0] == f"the evidence of run {RUN} is not on this machine: its signed statement is relied on"


def test_everything_that_is_missing_is_named_at_once(ground: Ground) -> None:
    """Neither gated, nor merged, nor signed: one message says all, and the commands."""
    ground.origin.git("checkout", "--quiet", "--orphan", "other")
    ground.commit_release("#!/bin/sh\n", "qa")
    assert ground.refused() == (
        f"{PHASE} does not go to qa: branch qa does not contain {ground.commit[:12]}: merge it first; "
        f"no signed verdict of dev on {ground.commit[:12]} is recorded: gate it there first; "
        f"Maintainer approval: not signed: gaia sign-off qa {PHASE} --item maintainer"
    )


def test_prod_needs_every_item_by_those_who_may(ground: Ground) -> None:
    """A release goes from dev to prod; until the last item is signed it does not."""
    ground.passed_in_qa(ground.promoted_to_qa())
    why = ground.refused("prod")
    assert [part.split(":")[0] for part in why.removeprefix(f"{PHASE} does not go to prod: ").split("; ")] == [
        "Maintainer approval",
        "QA sign-off", "Performance approved by ops", "Incident response plan reviewed", "Ops team trained",
        "Rollback procedure tested",
    ]  # fmt: skip
    for item in items("prod"):
        ground.sign("grace" if item in ("qa", "rollback") else "ada", item, "prod")
    assert ground.promote("prod")[-1].startswith(f"deploy/prod/{PHASE} cut on {ground.commit[:12]} and pushed: ")
    assert ground.admit("prod") == ground.commit


def test_a_force_needs_who_may_and_stays_visible(ground: Ground) -> None:
    """Its own statement, in the tag and in the chain; not by a name that is not the key's, nor by who may not."""
    with (
        ground.as_("author"),
        pytest.raises(NotPromoted, match=r"cannot be forced to qa: a@example\.test: allowed_sig"),
    ):
        promote.force(PHASE, "qa", "a@example.test", "no time", ground.origin.url)
    with ground.as_("ada"):
        with pytest.raises(NotPromoted, match=r"--by Nobody At All: the key is ada@example\.test's"):
            promote.force(PHASE, "qa", "Nobody At All", "no time", ground.origin.url)
        done = promote.force(PHASE, "qa", "ada@example.test", "no time\n\x1b[2Ksigned", ground.origin.url)
    assert done[0].startswith("forced although no signed verdict of dev on ")
    assert done[-1].endswith(r"forced by ada@example.test: no time\n\x1b[2Ksigned")
    assert ground.admit() == ground.commit
    ground.gate(failing="dev.health")
    assert "the newest gate (run" in ground.not_admitted()


def test_an_advisory_promotion_says_what_is_missing_and_goes_on(ground: Ground) -> None:
    """`promotion = "advisory"`: nothing is refused, everything is reported; status shows it."""
    text = ground.environment().path.read_text().replace('stage = "qa"', 'stage = "qa"\npromotion = "advisory"')
    project = ground.folder / "project"
    (project / "environments").mkdir(parents=True)
    for name in ("dev", "prod"):
        (project / "environments" / f"{name}.toml").write_text(ground.environment(name).path.read_text())
    (project / "environments" / "qa.toml").write_text(text)
    ground.monkeypatch.setattr("gaia_checks.environment.environment_file.PROJECT", project)
    done = promote.promote(PHASE, "qa", ground.origin.url)
    assert done[:-1] == [
        f"advisory: no signed verdict of dev on {ground.commit[:12]} is recorded: gate it there first",
        f"advisory: Maintainer approval: not signed: gaia sign-off qa {PHASE} --item maintainer",
    ]
    assert done[-1].endswith("not gated, signed off: by nobody")
    assert ground.admit() == ground.commit
    ground.origin.away()
    said: list[str] = []
    assert admission.admit(ground.environment(), PHASE, ground.origin.url, said.append) is None
    assert said[0].startswith("qa: advisory: remote away: file://")


def test_what_makes_no_sense_is_said(ground: Ground) -> None:
    """A stage that nothing leads to, a phase without a tag, an unknown item, no key, a remote that is away."""
    with pytest.raises(ConfigurationError, match="dev: a release enters stage dev by its tag alone"):
        ground.promote("dev")
    with pytest.raises(NotPromoted, match=f"there is no tag {Tag('qa', PHASE)} on a commit; deploy and gate it first"):
        ground.promote("prod")
    with pytest.raises(ConfigurationError, match="--item nothing: not on the checklist of qa: maintainer"):
        ground.sign("ada", "nothing")
    ground.gate()
    ground.sign("ada")
    with pytest.raises(ConfigurationError, match="no signing key: export GAIA_SIGNING_KEY="):
        promote.promote(PHASE, "qa", ground.origin.url)
    ground.origin.away()
    with pytest.raises(RemoteUnreachable, match=r"origin\.git"):
        ground.promote()


def test_the_commands_say_what_they_did(ground: Ground, capsys: pytest.CaptureFixture[str]) -> None:
    """`gaia checklist`, `sign-off`, `promote` and `verdict verify`, with the exit code of each end."""
    remote = ("--remote", ground.origin.url)
    folder = ground.gate()
    assert cli.run(["promote", PHASE, "--to", "qa", *remote]) == 1
    assert "Maintainer approval: not signed" in capsys.readouterr().err
    assert cli.run(["checklist", "qa", PHASE, *remote]) == 1
    shown = capsys.readouterr().out
    assert "Maintainer approval  " in shown
    assert f"gaia sign-off qa {PHASE} --item maintainer" in shown
    with ground.as_("ada"):
        assert cli.run(["sign-off", "qa", PHASE, "--item", "maintainer", *remote]) == 0
        assert cli.run(["promote", PHASE, "--to", "qa", *remote]) == 0
        assert cli.run(["promote", PHASE, "--to", "qa", "--force", *remote]) == 4
    capsys.readouterr()
    assert cli.run(["checklist", "qa", PHASE, "--json", *remote]) == 0
    states = {one["item"]: one["state"] for one in json.loads(capsys.readouterr().out)}
    assert (states["Health endpoint returns 200"], states["Maintainer approval"]) == ("proven", "signed")
    assert cli.run(["checklist", "dev", PHASE, *remote]) == 0
    for what in (str(folder), str(folder / "statement.json"), f"deploy/dev/{PHASE}", f"deploy/qa/{PHASE}"):
        code = cli.run(["verdict", "verify", what, *remote])
        assert code == 0, capsys.readouterr().out

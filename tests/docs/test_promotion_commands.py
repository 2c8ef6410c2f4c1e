"""The commands that let a release into the next stage, read from the pages that name them and run in their order."""

import re
import shlex
from pathlib import Path

import pytest

from gaia_checks import cli
from gaia_checks.environment.project import ROOT
from tests.promotion.ground import PHASE, make

COMMAND = re.compile(r"^ *(?:\.venv/bin/)?gaia ((?:checklist|sign-off|promote|verdict verify) .*)$", re.MULTILINE)


@pytest.mark.parametrize("page", ["README.md", "docs/deploy/running.md"])
def test_the_commands_of_a_promotion_run(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the sign-off the list is incomplete; the last command finds everything proven. Only names are replaced."""
    ground = make(tmp_path, monkeypatch)
    ground.gate()
    text = (ROOT / page).read_text().replace("phase-11.4", PHASE)
    commands = [shlex.split(command, comments=True) for command in COMMAND.findall(text)]
    assert [words[0] for words in commands] == ["checklist", "sign-off", "promote", "verdict"]
    with ground.as_("ada"):
        codes = [cli.run([*words, "--remote", ground.origin.url]) for words in commands]
    assert codes == [1, 0, 0, 0]
    assert f"deploy/qa/{PHASE}" in ground.origin.tags()

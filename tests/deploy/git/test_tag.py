"""Deployment tags."""

import pytest

from gaia_checks.deploy.git import tag
from gaia_checks.errors import ConfigurationError


@pytest.mark.parametrize(
    ("text", "expected"),
    [("deploy/qa/phase-11.4", ("qa", "phase-11.4")), ("deploy/prod/v1_2", ("prod", "v1_2"))],
)
def test_a_tag_is_read_and_written_back(text: str, expected: tuple[str, str]) -> None:
    """Environment and phase come out, and go in again."""
    found = tag.parse(text)
    assert (found.environment, found.phase) == expected
    assert str(found) == text


@pytest.mark.parametrize(
    "text", ["", "deploy/qa", "deploy/qa/", "deploy/qa/a/b", "deploy/qa/..", "x/qa/1", "deploy/qa/a b"]
)
def test_anything_else_is_no_tag(text: str) -> None:
    """What git or a folder name could not hold is refused with an example."""
    with pytest.raises(ConfigurationError, match="is no deployment tag; write deploy/ENVIRONMENT/PHASE"):
        tag.parse(text)


def test_a_tag_cannot_ask_for_the_working_tree() -> None:
    """Its phase stands for what was never tagged, so whoever follows tags must not deploy by it."""
    with pytest.raises(
        ConfigurationError, match="is no deployment tag: worktree is what was never tagged; give it a phase"
    ):
        tag.parse("deploy/prod/worktree")

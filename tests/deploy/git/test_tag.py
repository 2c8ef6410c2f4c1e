"""Deployment tags."""

import pytest

from gaia_checks.deploy.git import tag
from gaia_checks.errors import ConfigurationError


@pytest.mark.parametrize(
    ("text", "expected"),
    [("deploy/qa/phase-11.4", ("qa", "phase-11.4")), ("deploy/prod/v1_2", ("prod", "v1_2"))],
)
def test_a_tag_is_parsed_and_formatted_back(text: str, expected: tuple[str, str]) -> None:
    """A tag parses into environment and phase, and formats back."""
    found = tag.parse(text)
    assert (found.environment, found.phase) == expected
    assert str(found) == text


@pytest.mark.parametrize(
    "text", ["", "deploy/qa", "deploy/qa/", "deploy/qa/a/b", "deploy/qa/..", "x/qa/1", "deploy/qa/a b"]
)
def test_any_other_name_is_refused(text: str) -> None:
    """A name that git or a folder cannot use is refused with an example."""
    with pytest.raises(ConfigurationError, match="is not a deployment tag; write deploy/ENVIRONMENT/PHASE"):
        tag.parse(text)


def test_a_tag_cannot_request_the_working_tree() -> None:
    """The phase of the untagged working tree is refused."""
    with pytest.raises(
        ConfigurationError, match="is not a deployment tag: worktree means the untagged working tree; name a phase"
    ):
        tag.parse("deploy/prod/worktree")

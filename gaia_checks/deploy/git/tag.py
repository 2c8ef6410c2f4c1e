"""Deployment tags: `deploy/{environment}/{phase}` (pure)."""

import re
from dataclasses import dataclass

from gaia_checks.errors import ConfigurationError

WORKTREE = "worktree"
"""The phase of the untagged working tree: no tag may name it."""

_TAG = re.compile(r"deploy/(?P<environment>[a-z][a-z0-9-]*)/(?P<phase>[A-Za-z0-9][A-Za-z0-9._-]*)")


@dataclass(frozen=True, slots=True)
class Tag:
    """The environment and phase that a tag requests."""

    environment: str
    phase: str

    def __str__(self) -> str:
        """The tag's name in git."""
        return f"deploy/{self.environment}/{self.phase}"


def parse(text: str) -> Tag:
    """Parse `deploy/qa/phase-11.4`. Raises ConfigurationError for anything else."""
    found = _TAG.fullmatch(text)
    if found is None or ".." in text or text.endswith((".", ".lock")):
        raise ConfigurationError(
            f"{text!r} is not a deployment tag; write deploy/ENVIRONMENT/PHASE, e.g. deploy/qa/phase-11.4"
        )
    if found["phase"] == WORKTREE:
        raise ConfigurationError(
            f"{text!r} is not a deployment tag: {WORKTREE} means the untagged working tree; name a phase, as phase-11.4"
        )
    return Tag(found["environment"], found["phase"])

"""The tags that ask for a deployment: `deploy/{environment}/{phase}` (pure)."""

import re
from dataclasses import dataclass

from gaia_checks.errors import ConfigurationError

WORKTREE = "worktree"
"""The phase of what was never tagged: no tag may ask for it."""

_TAG = re.compile(r"deploy/(?P<environment>[a-z][a-z0-9-]*)/(?P<phase>[A-Za-z0-9][A-Za-z0-9._-]*)")


@dataclass(frozen=True, slots=True)
class Tag:
    """What a tag asks for."""

    environment: str
    phase: str

    def __str__(self) -> str:
        """As git knows it."""
        return f"deploy/{self.environment}/{self.phase}"


def parse(text: str) -> Tag:
    """Read `deploy/qa/phase-11.4`. Raises ConfigurationError for anything else."""
    found = _TAG.fullmatch(text)
    if found is None or ".." in text or text.endswith((".", ".lock")):
        raise ConfigurationError(
            f"{text!r} is no deployment tag; write deploy/ENVIRONMENT/PHASE, e.g. deploy/qa/phase-11.4"
        )
    if found["phase"] == WORKTREE:
        raise ConfigurationError(
            f"{text!r} is no deployment tag: {WORKTREE} is what was never tagged; give it a phase, e.g. phase-11.4"
        )
    return Tag(found["environment"], found["phase"])

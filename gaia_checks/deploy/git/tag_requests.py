"""The deployments that the tags of one environment request, and their progress (pure).

The state is a journal; `replay` folds its records: {"event", "phase", "commit"}.

    began                the first poll is complete
    past                 at the first poll a newer tag existed: known, not requested
    new, moved           the tag requests a deployment of this commit
    deleted              the tag requests nothing any more
    deployed             the requested release runs; its gate is still open
    done                 the request is complete
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Change:
    """One difference between the recorded and the observed tags."""

    event: str  # "past", "new", "moved" or "deleted"
    phase: str
    commit: str  # the tag's commit; of a deleted tag, its last one


@dataclass(frozen=True, slots=True)
class TagRequest:
    """A deployment that a tag requests."""

    phase: str
    commit: str
    deployed: bool = False  # only its gate is open


@dataclass(frozen=True, slots=True)
class FollowerState:
    """The recorded state of one environment's tags."""

    initialized: bool  # the first poll is complete
    tags: Mapping[str, str]  # phase -> commit
    open: tuple[TagRequest, ...]  # oldest first


def replay(records: Iterable[Mapping[str, Any]]) -> FollowerState:
    """Fold the journal's records, oldest first."""
    initialized = False
    tags: dict[str, str] = {}
    requests: dict[str, TagRequest] = {}  # one per phase, in the order of the requests
    for record in records:
        event, phase, commit = record["event"], record.get("phase", ""), record.get("commit", "")
        if event == "began":
            initialized = True
        elif event == "deployed":
            requests[phase] = TagRequest(phase, commit, deployed=True)
        elif event in ("past", "new", "moved"):
            tags[phase] = commit
            requests.pop(phase, None)
            if event != "past":
                requests[phase] = TagRequest(phase, commit)
        else:
            requests.pop(phase, None)
            if event == "deleted":
                tags.pop(phase, None)
    return FollowerState(initialized, tags, tuple(requests.values()))


def changes(state: FollowerState, observed: Mapping[str, str]) -> tuple[Change, ...]:
    """Return the changes from `state` to `observed` (phase -> commit, oldest tag first), deletions first.

    At the first poll all tags are new, but only the newest is requested: a machine that joins late does not
    repeat history.
    """
    deleted = [Change("deleted", phase, commit) for phase, commit in state.tags.items() if phase not in observed]
    changed = [
        Change("moved" if phase in state.tags else "new", phase, commit)
        for phase, commit in observed.items()
        if state.tags.get(phase) != commit
    ]
    if not state.initialized:
        changed = [*(Change("past", one.phase, one.commit) for one in changed[:-1]), *changed[-1:]]
    return (*deleted, *changed)

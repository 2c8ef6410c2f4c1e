"""What the tags of one environment ask for, and what came of it (pure).

The memory is a journal; `recall` folds its records: {"event", "phase", "commit"}.

    began                the first look was taken
    past                 the tag was there before the first look, behind a newer one: known, not asked for
    new, moved           the tag asks for a deployment of this commit
    deleted              it asks for nothing any more
    deployed             what it asked for runs; its gate is still to come
    done                 nothing more is to be done for it
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Change:
    """One difference between what is remembered and what is there."""

    event: str  # "past", "new", "moved" or "deleted"
    phase: str
    commit: str  # where the tag is now; of a deleted one, where it was


@dataclass(frozen=True, slots=True)
class Request:
    """A deployment that a tag asks for."""

    phase: str
    commit: str
    deployed: bool = False  # only its gate is missing


@dataclass(frozen=True, slots=True)
class Memory:
    """What is known of one environment's tags."""

    began: bool
    tags: Mapping[str, str]  # phase -> commit
    open: tuple[Request, ...]  # oldest first


def recall(records: Iterable[Mapping[str, Any]]) -> Memory:
    """Fold the journal's records, oldest first."""
    began = False
    tags: dict[str, str] = {}
    wanted: dict[str, Request] = {}  # one per phase, in the order in which they were asked for
    for record in records:
        event, phase, commit = record["event"], record.get("phase", ""), record.get("commit", "")
        if event == "began":
            began = True
        elif event == "deployed":
            wanted[phase] = Request(phase, commit, deployed=True)
        elif event in ("past", "new", "moved"):
            tags[phase] = commit
            wanted.pop(phase, None)
            if event != "past":
                wanted[phase] = Request(phase, commit)
        else:
            wanted.pop(phase, None)
            if event == "deleted":
                tags.pop(phase, None)
    return Memory(began, tags, tuple(wanted.values()))


def changes(memory: Memory, seen: Mapping[str, str]) -> tuple[Change, ...]:
    """Return what is different in `seen` (phase -> commit, oldest tag first), deletions first.

    Before the first look all tags are new, but only the newest is asked for: a machine that joins late does not
    repeat history.
    """
    gone = [Change("deleted", phase, commit) for phase, commit in memory.tags.items() if phase not in seen]
    fresh = [
        Change("moved" if phase in memory.tags else "new", phase, commit)
        for phase, commit in seen.items()
        if memory.tags.get(phase) != commit
    ]
    if not memory.began:
        fresh = [*(Change("past", one.phase, one.commit) for one in fresh[:-1]), *fresh[-1:]]
    return (*gone, *fresh)

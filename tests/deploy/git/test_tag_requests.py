"""What tags ask for, as values: new, moved, deleted; remembered, and done one after another."""

import pytest

from gaia_checks.deploy.git.tag_requests import Change, Memory, Request, changes, recall

A, B = "a" * 40, "b" * 40


def record(event: str, phase: str = "", commit: str = "") -> dict[str, str]:
    """One line of the journal."""
    return {"event": event, "phase": phase, "commit": commit}


@pytest.mark.parametrize(
    ("known", "seen", "expected"),
    [
        ({}, {}, ()),
        ({"p1": A}, {"p1": A}, ()),
        ({"p1": A}, {"p1": A, "p2": B}, (Change("new", "p2", B),)),
        ({"p1": A}, {"p1": B}, (Change("moved", "p1", B),)),
        ({"p1": A}, {}, (Change("deleted", "p1", A),)),
        ({"p1": A, "p2": A}, {"p2": B, "p3": A}, (Change("deleted", "p1", A), Change("moved", "p2", B),
                                                  Change("new", "p3", A))),
    ],
)  # fmt: skip
def test_new_moved_and_deleted_tags_are_told_apart(
    known: dict[str, str], seen: dict[str, str], expected: tuple[Change, ...]
) -> None:
    """What is remembered against what is there."""
    assert changes(Memory(began=True, tags=known, open=()), seen) == expected


def test_the_first_look_asks_for_the_newest_tag_only() -> None:
    """A machine that joins late does not repeat history."""
    nothing = recall([])
    assert changes(nothing, {"p1": A, "p2": B}) == (Change("past", "p1", A), Change("new", "p2", B))


def test_requests_are_open_until_they_are_done_oldest_first() -> None:
    """A tag that was deployed is still to be gated; what is done is done."""
    seen = [record("new", "p1", A), record("new", "p2", B), record("began")]
    assert recall(seen).open == (Request("p1", A), Request("p2", B))
    half = [*seen, record("deployed", "p1", A)]
    assert recall(half).open == (Request("p1", A, deployed=True), Request("p2", B))
    assert recall([*half, record("done", "p1", A)]).open == (Request("p2", B),)


def test_a_tag_that_moved_or_went_before_its_turn_is_asked_for_as_it_is_now() -> None:
    """The old commit is nobody's wish any more; the moved tag goes to the end of the queue."""
    seen = [record("new", "p1", A), record("new", "p2", A), record("moved", "p1", B), record("deleted", "p2", A)]
    memory = recall(seen)
    assert memory.open == (Request("p1", B),)
    assert dict(memory.tags) == {"p1": B}


def test_a_past_tag_asks_for_nothing_until_it_moves() -> None:
    """It is known, so it is not new the next time."""
    memory = recall([record("past", "p1", A), record("began")])
    assert (memory.open, memory.began) == ((), True)
    assert changes(memory, {"p1": A}) == ()
    assert changes(memory, {"p1": B}) == (Change("moved", "p1", B),)

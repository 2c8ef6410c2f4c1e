"""Deployment requests from tags: new, moved and deleted tags, the recorded state, and the order of requests."""

import pytest

from gaia_checks.deploy.git.tag_requests import Change, FollowerState, TagRequest, changes, replay

A, B = "a" * 40, "b" * 40


def record(event: str, phase: str = "", commit: str = "") -> dict[str, str]:
    """Return one line of the journal."""
    return {"event": event, "phase": phase, "commit": commit}


@pytest.mark.parametrize(
    ("recorded", "observed", "expected"),
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
def test_new_moved_and_deleted_tags_are_distinguished(
    recorded: dict[str, str], observed: dict[str, str], expected: tuple[Change, ...]
) -> None:
    """Recorded and observed tags differ by new, moved and deleted tags."""
    assert changes(FollowerState(initialized=True, tags=recorded, open=()), observed) == expected


def test_the_first_poll_requests_the_newest_tag_only() -> None:
    """At the first poll only the newest tag is requested."""
    nothing = replay([])
    assert changes(nothing, {"p1": A, "p2": B}) == (Change("past", "p1", A), Change("new", "p2", B))


def test_requests_stay_open_until_done_oldest_first() -> None:
    """A deployed request stays open for its gate; a completed one does not."""
    observed = [record("new", "p1", A), record("new", "p2", B), record("began")]
    assert replay(observed).open == (TagRequest("p1", A), TagRequest("p2", B))
    deployed = [*observed, record("deployed", "p1", A)]
    assert replay(deployed).open == (TagRequest("p1", A, deployed=True), TagRequest("p2", B))
    assert replay([*deployed, record("done", "p1", A)]).open == (TagRequest("p2", B),)


def test_a_tag_that_changed_while_queued_is_requested_in_its_new_state() -> None:
    """A moved tag requests its new commit only, at the end of the queue; a deleted tag requests nothing."""
    observed = [record("new", "p1", A), record("new", "p2", A), record("moved", "p1", B), record("deleted", "p2", A)]
    state = replay(observed)
    assert state.open == (TagRequest("p1", B),)
    assert dict(state.tags) == {"p1": B}


def test_a_past_tag_requests_nothing_until_it_moves() -> None:
    """A past tag is recorded, so it is not new at the next poll."""
    state = replay([record("past", "p1", A), record("began")])
    assert (state.open, state.initialized) == ((), True)
    assert changes(state, {"p1": A}) == ()
    assert changes(state, {"p1": B}) == (Change("moved", "p1", B),)

"""What instances say of themselves: a majority is right, a younger process is a restart."""

from collections.abc import Mapping

import pytest

from gaia_checks.recorders.instances.instance_samples import HealthSample, Instance, same
from gaia_checks.target.samples import Score

SAME = {"version": "1", "digest": "sha256:aaaaaaaaaaaaaaaa"}


def instance(name: str, *bodies: Mapping[str, object]) -> Instance:
    """An instance that has answered these, a second apart."""
    made = Instance(f"http://{name}")
    for t, body in enumerate(bodies):
        made.add(t, HealthSample(t, t + 0.1, body), Score())
    return made


@pytest.mark.parametrize(
    ("of_b", "of_c", "good", "wrong"),
    [
        (SAME, SAME, 3, []),
        (SAME, {**SAME, "digest": "sha256:bb"}, 2, ["http://c runs digest sha256:bb instead of sha256:aaaaaaaaaaaa"]),
        (SAME, {**SAME, "schema": "51"}, 2, ["http://c runs schema 51 instead of none"]),
        (SAME, {}, 2, ["http://c does not say what it runs"]),
    ],
)
def test_what_most_run_is_expected(
    of_b: Mapping[str, object], of_c: Mapping[str, object], good: int, wrong: list[str]
) -> None:
    """The one that differs is named with what differs."""
    score, runs = same([instance("a", SAME), instance("b", of_b), instance("c", of_c)])
    assert (score.good, score.tried, score.wrong) == (good, 3, wrong)
    assert runs == "version 1, digest sha256:aaaaaaaaaaaa"


def test_the_first_one_is_outvoted() -> None:
    """Its place in the list is no argument, and of two it is one."""
    other = {**SAME, "version": "2"}
    score, _ = same([instance("a", other), instance("b", SAME), instance("c", SAME)])
    assert score.wrong == ["http://a runs version 2 instead of 1"]
    score, _ = same([instance("a", other), instance("b", SAME)])
    assert score.wrong == ["http://b runs version 1 instead of 2"]


def test_one_that_changes_meanwhile_differs() -> None:
    """It is enough that it did not always run the same."""
    score, _ = same([instance("a", SAME), instance("b", SAME, {**SAME, "version": "2"})])
    assert score.wrong == ["http://b runs version 2 instead of 1"]


@pytest.mark.parametrize(
    ("uptimes", "restarts"),
    [
        ((10, 11, 12), 0),
        ((10, 10.5, 11.2), 0),  # a slow answer, a coarse clock
        ((10, 0.2, 1.2), 1),
        ((10, 0.2, 0.1), 1),
        ((None, None), 0),
    ],
)
def test_a_younger_process_is_a_restart(uptimes: tuple[float | None, ...], restarts: int) -> None:
    """Once for each time, and never where no uptime is reported."""
    found = instance("a", *({**SAME, "uptime_s": each} for each in uptimes))
    assert len(found.restarts) == restarts
    assert all(note.startswith("http://a was restarted: 1 s after the start") for note in found.restarts)

"""How the sizes of a server after each round are read."""

import pytest

from gaia_checks.probes.rehearsal.upkeep.kept_memory import growth, slows_down, undecided

FLAT = 50_000
MB = 1_000_000


def sizes(*growths: int) -> list[int]:
    """Return the sizes of a server that grows so."""
    found = [40 * MB]
    for each in growths:
        found.append(found[-1] + each)
    return found


@pytest.mark.parametrize(
    ("growths", "goes_on"),
    [
        ((0, 0), True),
        ((0, 0, 0), False),
        ((MB, 0, 0), False),
        ((MB, MB, MB), True),
        ((MB, MB, MB, 0, 0), False),
        ((MB,) * 5, True),
        ((MB,) * 6, False),
        ((9 * MB, 8 * MB, 7 * MB, 2 * MB, MB, MB), True),
        ((9 * MB, 8 * MB, 7 * MB, 2 * MB, MB, MB, 0, 0), False),
    ],
)
def test_more_rounds_follow_while_they_may_show_something_else(growths: tuple[int, ...], goes_on: bool) -> None:
    """Three flat rounds are enough; one that grows gets six, and more while it grows ever less."""
    assert undecided(sizes(*growths), FLAT) is goes_on


def test_the_rounds_end() -> None:
    """One that grows half as much in each round gets no more than twenty sizes."""
    growths = [2 ** (60 - number) for number in range(40)]
    rounds = next(number for number in range(1, 40) if not undecided(sizes(*growths[:number]), 1))
    assert rounds == 19
    assert slows_down(sizes(*growths[:rounds]))


@pytest.mark.parametrize(
    ("growths", "kept", "slows"),
    [
        ((30 * MB, 0, 0, 0), 0, True),
        ((MB, MB, MB, MB, MB, MB), MB, False),
        ((9 * MB, MB, MB, -MB, MB, MB), MB, False),
        ((30 * MB, 20 * MB, MB, MB, MB, MB), MB, True),
        ((MB, MB, MB), MB, False),
    ],
)
def test_what_is_kept_is_the_growth_at_the_end(growths: tuple[int, ...], kept: int, slows: bool) -> None:
    """The median of the last three; what it was before says whether it may still end."""
    assert (growth(sizes(*growths)), slows_down(sizes(*growths))) == (kept, slows)

"""Exactness observed by clients: races, two processes, the edges of windows, and not one wrong decision."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.limiter.contract import TOKEN
from benchmarks.limiter.exactness import Case, judge, run
from benchmarks.limiter.racing import Seen
from tests.gaia_server.conftest import fresh_database, servers, without_rules

CASES = (
    Case("one hot key", "requests_per_minute", limit=100, times=400),
    Case("many keys", "requests_per_minute", limit=2, keys=300, times=3),
    Case("two processes", "requests_per_minute", limit=100, clients=32, servers=2, times=400),
    Case("across edges of seconds", "requests_per_second", limit=20, clients=4, seconds=2.2),
    Case("across edges, two processes", "requests_per_second", limit=20, clients=4, servers=2, seconds=2.2),
)


@pytest.fixture(scope="module")
def ports(postgres: str, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[int]]:
    """Two server processes on one database without rules."""
    folder: Path = tmp_path_factory.mktemp("exact")
    with fresh_database(postgres, template) as dsn:
        without_rules(dsn)
        with servers(dsn, folder) as start:
            yield [start(TRUSTED_PROXIES="127.0.0.1", ADMIN_TOKEN=TOKEN).port for _ in range(2)]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_not_one_too_many_and_not_one_too_few(ports: list[int], case: Case) -> None:
    """Some order of the decisions that respects the rule explains all of them."""
    found = run(case, ports)
    assert (found.false_allows, found.false_denies) == (0, 0), found
    assert found.admitted + found.undecided >= case.limit * case.keys, found
    if case.limit_type == "requests_per_minute":
        assert found.admitted <= case.limit * case.keys, found


@pytest.mark.parametrize(("admitted", "expected"), [(99, (0, 1)), (100, (0, 0)), (126, (26, 0))])
def test_a_wrong_limiter_is_detected(admitted: int, expected: tuple[int, int]) -> None:
    """The counts of a race without locks do not pass, nor does one refusal too early."""
    seen = [Seen("user-0", 0.0, 0.2, 404) for _ in range(admitted)] + [Seen("user-0", 0.3, 0.4, 429)]
    found = judge(Case("race", "requests_per_minute", limit=100), seen)
    assert (found.false_allows, found.false_denies) == expected
    assert found.exact == (expected == (0, 0))

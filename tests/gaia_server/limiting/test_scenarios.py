"""Known mistakes of rate limiters, as tables: the database and the model must both give each result."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from gaia_server.limiting.decide import Question
from gaia_server.limiting.principals import Principal
from tests.gaia_server import model, sql_limiter
from tests.gaia_server.conftest import fresh_database
from tests.gaia_server.sql_limiter import Connection

MONDAY = datetime(2026, 3, 2, tzinfo=UTC)
ADA, BOB = Principal("user", "ada"), Principal("user", "bob")
DAY_S = 86_400


@dataclass(frozen=True)
class Burst:
    """Simultaneous requests at a time (seconds after a Monday's midnight): how many pass, and the next one's wait."""

    at_s: float
    requests: int
    admitted: int
    wait_s: float | None = None
    principal: Principal = ADA


@dataclass(frozen=True)
class Limit:
    """A new limit for the first rule."""

    value: int


@dataclass(frozen=True)
class Scenario:
    """Rules (kind and limit) and steps under them."""

    name: str
    rules: list[tuple[str, int]]
    steps: list[Burst | Limit]


MINUTE, SECOND, HOUR = "requests_per_minute", "requests_per_second", "requests_per_hour"
DAILY, WEEKLY, MONTHLY = "daily_quota", "weekly_quota", "monthly_quota"

SCENARIOS = [
    Scenario(
        "a burst on both sides of a minute's edge is one burst",
        [(MINUTE, 10)],
        [Burst(59.9, 10, 10), Burst(60.1, 10, 0, 59.8), Burst(119.899999, 1, 0, 0.000001), Burst(119.9, 11, 10, 60)],
    ),
    Scenario(
        "a window ends to the microsecond",
        [(SECOND, 1)],
        [Burst(0, 1, 1), Burst(0.999999, 1, 0, 0.000001), Burst(1, 2, 1, 1)],
    ),
    Scenario(
        "room is freed as it was taken, not all at once",
        [(MINUTE, 4)],
        [
            Burst(0, 1, 1),
            Burst(10, 2, 2),
            Burst(20, 2, 1, 40),
            Burst(60, 4, 1, 10),
            Burst(70, 4, 2, 10),
            Burst(80, 4, 1, 40),
        ],
    ),
    Scenario(
        "a limit raised while in use gives the difference at once",
        [(MINUTE, 5)],
        [Burst(0, 6, 5, 60), Limit(8), Burst(1, 6, 3, 59)],
    ),
    Scenario(
        "a limit lowered below the used count waits for the blocking admission, not for the oldest",
        [(MINUTE, 8)],
        [Burst(0, 4, 4), Burst(20, 4, 4), Limit(3), Burst(30, 1, 0, 50), Burst(60, 1, 0, 20), Burst(80, 4, 3, 60)],
    ),
    Scenario(
        "the blocking admission is found among single ones",
        [(MINUTE, 9)],
        [
            *(Burst(second, 1, 1) for second in range(6)),
            Limit(2),
            Burst(10, 1, 0, 54),
            Burst(63.5, 1, 0, 0.5),
            Burst(64, 2, 1, 1),
        ],
    ),
    Scenario(
        "a limit lowered to zero admits no request, whatever leaves the window",
        [(MINUTE, 2)],
        [Burst(0, 2, 2), Limit(0), Burst(9, 1, 0, 60)],
    ),
    Scenario(
        "admissions after the clock went back stay as long as those before",
        [(MINUTE, 3)],
        [Burst(100, 2, 2), Burst(40, 2, 1), Limit(1), Burst(101, 1, 0, 59)],
    ),
    Scenario("nothing passes a limit of zero", [(HOUR, 0)], [Burst(0, 3, 0, 3600), Burst(3600, 1, 0, 3600)]),
    Scenario("no call passes a quota of zero", [(DAILY, 0)], [Burst(0, 3, 0, DAY_S), Burst(DAY_S, 1, 0, DAY_S)]),
    Scenario(
        "one passes a limit of one", [(HOUR, 1)], [Burst(0, 9, 1, 3600), Burst(3599, 9, 0, 1), Burst(3600, 9, 1, 3600)]
    ),
    Scenario(
        "of more requests than remain, as many pass as remain",
        [(MINUTE, 10)],
        [Burst(0, 7, 7), Burst(1, 100, 3, 59)],
    ),
    Scenario(
        "a clock that goes back neither removes nor adds room",
        [(MINUTE, 3)],
        [Burst(100, 2, 2), Burst(40, 2, 1, 120), Burst(101, 1, 0, 59), Burst(160, 4, 3, 60)],
    ),
    Scenario(
        "a clock that goes back over midnight does not restart the previous day",
        [(DAILY, 3)],
        [Burst(DAY_S + 1, 2, 2), Burst(DAY_S - 1, 2, 1, DAY_S + 1), Burst(DAY_S + 2, 1, 0, DAY_S - 2)],
    ),
    Scenario(
        "a ring that has wrapped around grows without losing an admission",
        [(MINUTE, 40)],
        [
            *(Burst(second, 1, 1) for second in range(5)),
            *(Burst(60 + second, 1, 1) for second in range(13)),
            *(Burst(80 + second / 2, 2, 2) for second in range(13)),
            Burst(90, 9, 1, 30),
            Burst(120, 9, 1, 1),
        ],
    ),
    Scenario(
        "the tightest rule decides, and its refusals consume nothing of the others",
        [(MINUTE, 5), (SECOND, 2)],
        [Burst(0, 9, 2, 1), Burst(1, 9, 2, 1), Burst(2, 9, 1, 58), Burst(60, 9, 2, 1)],
    ),
    Scenario("a day ends at midnight", [(DAILY, 2)], [Burst(DAY_S - 1, 3, 2, 1), Burst(DAY_S, 3, 2, DAY_S)]),
    Scenario(
        "a week ends on Monday",
        [(WEEKLY, 2)],
        [Burst(0, 3, 2, 7 * DAY_S), Burst(7 * DAY_S - 1, 1, 0, 1), Burst(7 * DAY_S, 3, 2, 7 * DAY_S)],
    ),
    Scenario(
        "a month ends with its last day",
        [(MONTHLY, 2)],
        [Burst(0, 3, 2, 30 * DAY_S), Burst(30 * DAY_S - 1, 1, 0, 1), Burst(30 * DAY_S, 3, 2, 30 * DAY_S)],
    ),
    Scenario(
        "users have separate counts",
        [(MINUTE, 2)],
        [Burst(0, 3, 2, 60), Burst(0, 3, 2, 60, principal=BOB), Burst(60, 1, 1), Burst(60, 1, 1, principal=BOB)],
    ),
]


@pytest.fixture(scope="module")
def connection(postgres: str, template: str) -> Iterator[Connection]:
    """A connection to a separate database for this module."""
    with fresh_database(postgres, template) as dsn, sql_limiter.connect(dsn) as connection:
        yield connection


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_scenario(connection: Connection, scenario: Scenario) -> None:
    """The number of admitted requests and the wait of the first refused one match the table."""
    reference = model.Limiter()
    for kind, limit in scenario.rules:
        made = sql_limiter.rule(connection, kind, limit)
        reference.rules[made] = model.Rule(made, "user", None, kind, limit)
    first = next(iter(reference.rules.values()))
    for step in scenario.steps:
        if isinstance(step, Limit):
            first.limit = step.value
            connection.execute("UPDATE rate_limit_configs SET limit_value = %s WHERE id = %s", (step.value, first.id))
            continue
        at = MONDAY + timedelta(seconds=step.at_s)
        decided = sql_limiter.decide_batch(connection, [Question(step.principal, "config")] * step.requests, at)
        expected = [reference.decide(step.principal, "config", at) for _ in range(step.requests)]
        assert [decision.admitted for decision in decided] == [n < step.admitted for n in range(step.requests)], step
        assert [all(one.admitted for one in standings) for standings in expected] == [
            n < step.admitted for n in range(step.requests)
        ], step
        if step.wait_s is not None:
            waits = [max(refusal.reset_us for refusal in decided[step.admitted].refusals)]
            waits.append(max(one.reset_us for one in expected[step.admitted] if not one.admitted))
            assert waits == [round(step.wait_s * 1_000_000)] * 2, step
    connection.execute("DELETE FROM rate_limit_configs WHERE id = ANY(%s)", (list(reference.rules),))

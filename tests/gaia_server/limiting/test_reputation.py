"""Reputation: tables of events and their effects, invariants, and the SQL equivalents."""

from datetime import timedelta

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gaia_server.limiting.reputation import (
    FACTORS,
    TIERS,
    WEEK,
    Reputation,
    after_clean,
    after_idle,
    after_violations,
    effective_limit,
    severity,
)

reputations = st.builds(Reputation, score=st.integers(0, 100), clean_requests=st.integers(0, 99), vip=st.booleans())


@pytest.mark.parametrize(
    ("limit_types", "expected"),
    [
        (["requests_per_second"], 1),
        (["requests_per_minute"], 2),
        (["requests_per_hour"], 3),
        (["daily_quota"], 3),
        (["weekly_quota"], 3),
        (["monthly_quota"], 3),
        (["requests_per_second", "requests_per_minute"], 2),
        (["daily_quota", "requests_per_second"], 3),
    ],
)
def test_severity(limit_types: list[str], expected: int) -> None:
    """A refused request has the highest severity of the limits that refused it."""
    assert severity(limit_types) == expected


@pytest.mark.parametrize(
    ("score", "severities", "expected"),
    [(50, [1], 47), (50, [2], 44), (50, [3], 41), (50, [1, 2, 3], 32), (2, [1], 0), (0, [3], 0), (50, [], 50)],
)
def test_violations(score: int, severities: list[int], expected: int) -> None:
    """A violation costs three points per degree of severity, down to 0."""
    assert after_violations(Reputation(score), severities).score == expected


@pytest.mark.parametrize(
    ("known", "requests", "expected"),
    [
        (Reputation(50), 99, Reputation(50, 99)),
        (Reputation(50, 99), 1, Reputation(51, 0)),
        (Reputation(50, 60), 250, Reputation(53, 10)),
        (Reputation(100, 99), 1, Reputation(100, 0)),
        (Reputation(99, 0), 500, Reputation(100, 0)),
        (Reputation(50, 7, vip=True), 0, Reputation(50, 7, vip=True)),
    ],
)
def test_clean_requests(known: Reputation, requests: int, expected: Reputation) -> None:
    """Every hundredth clean request earns a point, up to 100."""
    assert after_clean(known, requests) == expected


@pytest.mark.parametrize(
    ("score", "idle", "expected", "used_up"),
    [
        (70, WEEK - timedelta(microseconds=1), 70, timedelta()),
        (70, WEEK, 65, WEEK),
        (70, 1.9 * WEEK, 65, WEEK),
        (30, 2 * WEEK, 40, 2 * WEEK),
        (48, WEEK, 50, WEEK),
        (52, 9 * WEEK, 50, 9 * WEEK),
        (100, 10 * WEEK, 50, 10 * WEEK),
        (0, 520 * WEEK, 50, 520 * WEEK),
        (50, 3 * WEEK, 50, 3 * WEEK),
        (70, -WEEK, 70, timedelta()),
    ],
)
def test_decay(score: int, idle: timedelta, expected: int, used_up: timedelta) -> None:
    """Each whole week without a change moves a score five points towards 50, never beyond."""
    assert after_idle(Reputation(score), idle) == (Reputation(expected), used_up)


@pytest.mark.parametrize(
    ("limit_value", "tier", "expected"),
    [
        (10, "flagged", 5),
        (10, "standard", 10),
        (10, "trusted", 15),
        (10, "vip", 20),
        (5, "flagged", 2),
        (5, "trusted", 7),
        (1, "flagged", 1),
        (1, "trusted", 1),
        (0, "vip", 0),
        (0, "flagged", 0),
        (1_000_000_000, "vip", 2_000_000_000),
    ],
)
def test_effective_limit(limit_value: int, tier: str, expected: int) -> None:
    """A tier multiplies a limit, rounded down; only a limit of 0 refuses everything."""
    assert effective_limit(limit_value, tier) == expected


@given(reputations, st.lists(st.integers(1, 3), max_size=50), st.integers(0, 20_000), st.integers(0, 5000))
def test_a_score_stays_within_its_bounds(known: Reputation, severities: list[int], clean: int, days: int) -> None:
    """After any events a score is from 0 to 100, and a VIP stays one."""
    found, _ = after_idle(after_clean(after_violations(known, severities), clean), timedelta(days=days))
    assert 0 <= found.score <= 100
    assert 0 <= found.clean_requests < 100
    assert found.vip == known.vip


@given(reputations, st.lists(st.integers(0, 700), max_size=20))
def test_clean_requests_may_come_in_any_portions(known: Reputation, portions: list[int]) -> None:
    """Counting requests in several batches gives the same result as counting them at once."""
    found = known
    for portion in portions:
        found = after_clean(found, portion)
    assert found == after_clean(known, sum(portions))


@given(reputations, st.lists(st.integers(0, 40), max_size=20))
def test_decay_may_run_at_any_time(known: Reputation, days: list[int]) -> None:
    """The score does not depend on how often and when the decay is applied."""
    found, left = known, timedelta()
    for passed in days:
        left += timedelta(days=passed)
        found, used_up = after_idle(found, left)
        left -= used_up
    assert found == after_idle(known, timedelta(days=sum(days)))[0]


@given(reputations, st.integers(0, 5000))
def test_decay_only_approaches_the_start(known: Reputation, days: int) -> None:
    """Decay never moves a score away from 50 or across it."""
    found, _ = after_idle(known, timedelta(days=days))
    assert abs(found.score - 50) <= abs(known.score - 50)
    assert (found.score - 50) * (known.score - 50) >= 0


def test_sql_matches(schema: str) -> None:
    """Tiers, factors and limits in SQL match the pure core."""
    with psycopg.connect(schema) as connection:
        for score in range(101):
            for vip in (False, True):
                (tier,) = connection.execute(
                    "INSERT INTO reputation_scores (key, score, vip) VALUES (%s, %s, %s) RETURNING tier",
                    (f"user:{score}-{vip}", score, vip),
                ).fetchone() or ("",)
                assert tier == Reputation(score, vip=vip).tier
        for tier in TIERS:
            (factor,) = connection.execute("SELECT reputation_factor(%s)", (tier,)).fetchone() or (0,)
            assert factor == FACTORS[tier]
            for limit in (0, 1, 2, 3, 7, 10, 999, 1_000_000_000):
                (found,) = connection.execute("SELECT reputation_limit(%s, %s)", (limit, tier)).fetchone() or (0,)
                assert found == effective_limit(limit, tier)

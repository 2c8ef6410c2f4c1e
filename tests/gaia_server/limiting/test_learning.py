"""The limiter with reputation against the pure core: the same results for any batches."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from gaia_server.limiting import reputation
from gaia_server.limiting.decide import Question
from gaia_server.limiting.principals import Principal
from gaia_server.limiting.reputation import Reputation
from tests.gaia_server import model, sql_limiter
from tests.gaia_server.sql_limiter import Connection

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
PRINCIPALS = [Principal("user", "ada"), Principal("user", "bob"), Principal("ip", "192.0.2.7")]

Requests = list[tuple[Principal, int]]
"""Principals and their numbers of consecutive requests in one batch."""


@pytest.fixture
def connection(schema: str) -> Iterator[Connection]:
    """A connection to a database whose default rules are disabled."""
    with sql_limiter.connect(schema) as connection:
        yield connection


@dataclass
class Learner:
    """The limiter's model, with limits that depend on the core's reputation of a user."""

    limiter: model.Limiter = field(default_factory=model.Limiter)
    limits: dict[int, int] = field(default_factory=dict)
    known: dict[str, Reputation] = field(default_factory=dict)

    def add(self, rule: model.Rule) -> None:
        """Add a rule."""
        self.limiter.rules[rule.id] = rule
        self.limits[rule.id] = rule.limit

    def decide(self, principal: Principal, at: datetime) -> list[tuple[int, bool, int]]:
        """Decide one request and update the reputation: return (rule, admitted, remaining) for each rule."""
        own = [rule for rule in self.limiter.rules.values() if rule.scope == principal.scope == "user"]
        known = self.known.get(principal.key, Reputation())
        for rule in own:
            rule.limit = reputation.effective_limit(self.limits[rule.id], known.tier)
        found = self.limiter.decide(principal, "config", at)
        if principal.scope == "user":
            refused = {one.rule_id for one in found if not one.admitted}
            kinds = [rule.kind for rule in own if rule.id in refused]
            learnt = (
                reputation.after_violations(known, [reputation.severity(kinds)])
                if kinds
                else reputation.after_clean(known, 1)
            )
            self.known[principal.key] = learnt
        return [(one.rule_id, one.admitted, one.remaining) for one in found]


def reputations(connection: Connection) -> dict[str, Reputation]:
    """Return the stored reputations by key."""
    rows = connection.execute("SELECT key, score, clean_requests, vip FROM reputation_scores").fetchall()
    return {key: Reputation(score, clean, vip) for key, score, clean, vip in rows}


starts = st.sampled_from(
    [Reputation(), Reputation(score=21), Reputation(score=79, clean_requests=98), Reputation(vip=True)]
)
batches: st.SearchStrategy[list[tuple[float, Requests]]] = st.lists(
    st.tuples(
        st.sampled_from([0.1, 1, 30, 60]),
        st.lists(st.tuples(st.sampled_from(PRINCIPALS), st.integers(1, 25)), min_size=1, max_size=4),
    ),
    min_size=1,
    max_size=8,
)

ADA = PRINCIPALS[0]
# The second violation turns a standard user into a flagged one within a batch, which halves the limits.
FALLING = [(1.0, [(ADA, 25), (PRINCIPALS[1], 3), (ADA, 25)]), (60.0, [(ADA, 25)])]
# The hundredth clean request makes the user trusted, which raises the limits.
RISING = [(1.0, [(ADA, 25)]), (60.0, [(ADA, 25)])]


@example(start=Reputation(score=21), limits=(8, 20, 30), script=FALLING)
@example(start=Reputation(score=79, clean_requests=98), limits=(8, 20, 30), script=RISING)
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(start=starts, limits=st.tuples(*[st.integers(0, 40)] * 3), script=batches)
def test_the_database_learns_as_the_core_does(
    connection: Connection, start: Reputation, limits: tuple[int, int, int], script: list[tuple[float, Requests]]
) -> None:
    """Decisions, remaining counts, scores and clean requests match the core after every batch."""
    learner = Learner(known={ADA.key: start})
    for scope, kind, limit in zip(
        ("user", "user", "global"),
        ("requests_per_second", "requests_per_minute", "requests_per_minute"),
        limits,
        strict=True,
    ):
        learner.add(model.Rule(sql_limiter.rule(connection, kind, limit, scope=scope), scope, None, kind, limit))
    connection.execute(
        "INSERT INTO reputation_scores (key, score, clean_requests, vip) VALUES (%s, %s, %s, %s)",
        (ADA.key, start.score, start.clean_requests, start.vip),
    )
    at = NOON
    for pause_s, batch in script:
        at += timedelta(seconds=pause_s)
        questions = [Question(principal, "config") for principal, times in batch for _ in range(times)]
        decided = sql_limiter.decide_batch(connection, questions, at, learning=True)
        found = [[(s.rule_id, s.admitted, s.remaining) for s in decision.standings] for decision in decided]
        assert found == [learner.decide(question.principal, at) for question in questions]
        assert reputations(connection) == learner.known
    changed = connection.execute("SELECT coalesce(sum(change), 0) FROM reputation_events WHERE key = %s", (ADA.key,))
    assert changed.fetchone() == (learner.known[ADA.key].score - start.score,)
    connection.execute("DELETE FROM rate_limit_configs WHERE id = ANY(%s)", (list(learner.limits),))
    connection.execute("DELETE FROM reputation_scores")


def test_without_learning_nobody_has_a_reputation(connection: Connection) -> None:
    """With reputation disabled, limits are unchanged and no score changes."""
    sql_limiter.rule(connection, "requests_per_hour", 2)
    connection.execute("INSERT INTO reputation_scores (key, vip) VALUES ('user:ada', true)")
    decided = sql_limiter.decide_batch(connection, [Question(ADA, "config")] * 4, NOON)
    assert [decision.admitted for decision in decided] == [True, True, False, False]
    assert reputations(connection) == {ADA.key: Reputation(vip=True)}


def test_a_flood_of_refusals_costs_no_rows(connection: Connection) -> None:
    """At the lowest score no further events are stored."""
    sql_limiter.rule(connection, "requests_per_hour", 0)
    for _ in range(3):
        sql_limiter.decide_batch(connection, [Question(ADA, "config")] * 100, NOON, learning=True)
    row = connection.execute("SELECT count(*), sum(change) FROM reputation_events").fetchone()
    assert row == (6, -50)

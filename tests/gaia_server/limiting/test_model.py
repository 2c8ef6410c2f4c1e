"""The SQL limiter against a reference model: any sequence of batches, times and rule changes."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from gaia_server.limiting.decide import Question
from gaia_server.limiting.limit_types import LIMIT_TYPES
from gaia_server.limiting.principals import Principal
from tests.gaia_server import model, sql_limiter
from tests.gaia_server.model import Expected
from tests.gaia_server.sql_limiter import Connection

START = datetime(2026, 12, 31, 23, 59, 58, tzinfo=UTC)  # a Thursday: day, month and year end in two seconds

PRINCIPALS = [
    Principal("user", "ada"),
    Principal("user", "bob"),
    Principal("ip", "192.0.2.7"),
    Principal("session", "s"),
]
RESOURCES = ["config", "usage"]
SPANS_S = [0.000001, 0.5, 1, 20, 59, 60, 3600, 86_400, 7 * 86_400]

questions = st.builds(Question, st.sampled_from(PRINCIPALS), st.sampled_from(RESOURCES))
limits = st.one_of(st.integers(0, 4), st.integers(5, 40))


def standings(connection: Connection, batch: Sequence[Question], at: datetime) -> list[list[Expected]]:
    """Return the database's standings for each request."""
    return [
        [Expected(s.rule_id, s.admitted, s.remaining, s.reset_us) for s in decision.standings]
        for decision in sql_limiter.decide_batch(connection, batch, at)
    ]


def machine(connection: Connection) -> type[RuleBasedStateMachine]:
    """Return a state machine that runs every step on the database and on the model."""

    class Limiting(RuleBasedStateMachine):
        def __init__(self) -> None:
            super().__init__()
            self.now = START
            self.model = model.Limiter()

        @initialize(kind=st.sampled_from(LIMIT_TYPES), limit=limits)
        def add_first_rule(self, kind: str, limit: int) -> None:
            self.add(("user", None), kind, limit, None)

        @precondition(lambda self: len(self.model.rules) < 5)
        @rule(
            whom=st.sampled_from([("user", None), ("user", "ada"), ("ip", None), ("global", None), ("session", "s")]),
            kind=st.sampled_from(LIMIT_TYPES),
            limit=limits,
            resource=st.sampled_from([None, *RESOURCES]),
        )
        def add(self, whom: tuple[str, str | None], kind: str, limit: int, resource: str | None) -> None:
            scope, value = whom
            made = sql_limiter.rule(connection, kind, limit, scope=scope, value=value, resource=resource)
            self.model.rules[made] = model.Rule(made, scope, value, kind, limit, resource)

        @rule(batch=st.lists(questions, min_size=1, max_size=30))
        def decide(self, batch: list[Question]) -> None:
            expected = [self.model.decide(*question, self.now) for question in batch]
            assert standings(connection, batch, self.now) == expected

        @rule(question=questions, times=st.integers(2, 60))
        def decide_repeatedly(self, question: Question, times: int) -> None:
            self.decide([question] * times)

        @rule(seconds=st.sampled_from(SPANS_S))
        def wait(self, seconds: float) -> None:
            self.now += timedelta(seconds=seconds)

        @rule(seconds=st.sampled_from([0.5, 3, 120, 86_400]))
        def turn_the_clock_back(self, seconds: float) -> None:
            self.now -= timedelta(seconds=seconds)

        @rule(data=st.data(), limit=limits)
        def change_a_limit(self, data: st.DataObject, limit: int) -> None:
            chosen = self._one(data)
            chosen.limit = limit
            connection.execute("UPDATE rate_limit_configs SET limit_value = %s WHERE id = %s", (limit, chosen.id))

        @rule(data=st.data())
        def enable_or_disable_a_rule(self, data: st.DataObject) -> None:
            chosen = self._one(data)
            chosen.enabled = not chosen.enabled
            connection.execute("UPDATE rate_limit_configs SET enabled = NOT enabled WHERE id = %s", (chosen.id,))

        @rule(data=st.data(), kind=st.sampled_from(LIMIT_TYPES))
        def change_the_limit_type(self, data: st.DataObject, kind: str) -> None:
            chosen = self._one(data)
            if kind != chosen.kind:
                self.model.forget(chosen.id)
            chosen.kind = kind
            connection.execute("UPDATE rate_limit_configs SET limit_type = %s WHERE id = %s", (kind, chosen.id))

        @precondition(lambda self: len(self.model.rules) > 1)
        @rule(data=st.data())
        def remove(self, data: st.DataObject) -> None:
            chosen = self._one(data)
            self.model.forget(chosen.id)
            del self.model.rules[chosen.id]
            connection.execute("DELETE FROM rate_limit_configs WHERE id = %s", (chosen.id,))

        def _one(self, data: st.DataObject) -> model.Rule:
            return self.model.rules[data.draw(st.sampled_from(sorted(self.model.rules)))]

        def teardown(self) -> None:
            connection.execute("DELETE FROM rate_limit_configs WHERE id = ANY(%s)", (list(self.model.rules),))

    return Limiting


def test_the_database_decides_as_the_model_does(schema: str) -> None:
    """Every standing of every request matches the model: admitted, remaining and the microsecond of the reset."""
    with sql_limiter.connect(schema) as connection:
        run_state_machine_as_test(
            machine(connection),
            settings=settings(
                max_examples=30,
                stateful_step_count=30,
                suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
            ),
        )

"""SIGKILL under load: every admission that a client received is in the database."""

import pytest

from benchmarks.limiter import contract
from benchmarks.limiter.accounts import Balance, balance
from benchmarks.limiter.racing import Race, Seen, cycle
from tests.gaia_server.conftest import Start, poll, without_rules


def test_nothing_that_was_admitted_is_lost(schema: str, start: Start) -> None:
    """After three kills during responses every admission is counted once, equally under both rules."""
    without_rules(schema)
    server = start(TRUSTED_PROXIES="127.0.0.1", ADMIN_TOKEN=contract.TOKEN)
    rules = [contract.create_rule(server.port, limit_type="requests_per_hour", limit_value=10**6) for _ in range(2)]
    for name in ("first", "second", "third"):
        with Race([server.port], cycle(name, 5), clients=16) as race:
            poll(lambda race=race: race.admitted() >= 150, within_s=30)  # type: ignore[misc]
            server.process.kill()
            server.process.wait()
        assert any(one.status is None for one in race.seen), "no request was in progress when the server was killed"
        server = start(TRUSTED_PROXIES="127.0.0.1", ADMIN_TOKEN=contract.TOKEN)
        used, alike = (contract.used(server.port, rule["id"], name) for rule in rules)
        assert balance(race.seen, used) == Balance(lost=0, invented=0)
        assert used == alike


@pytest.mark.parametrize(
    ("statuses", "used", "expected"),
    [
        ([404, 404, 429], {"a": 2}, Balance(0, 0)),
        ([404, None, 503], {"a": 1}, Balance(0, 0)),  # neither of the two was counted
        ([404, None, 503], {"a": 3}, Balance(0, 0)),  # both were
        ([404, 404], {"a": 1}, Balance(1, 0)),
        ([404], {}, Balance(1, 0)),
        ([404, 429], {"a": 2}, Balance(0, 1)),
        ([], {"a": 1}, Balance(0, 1)),
    ],
)
def test_the_balance(statuses: list[int | None], used: dict[str, int], expected: Balance) -> None:
    """Admitted requests must be counted; requests without a response may be; refused requests must not."""
    assert balance([Seen("a", 0, 1, status) for status in statuses], used) == expected


def test_one_key_does_not_compensate_for_another() -> None:
    """The balance is per key: one too few for one and one too many for another are two errors."""
    assert balance([Seen("a", 0, 1, 404), Seen("b", 0, 1, 404)], {"a": 2}) == Balance(lost=1, invented=1)

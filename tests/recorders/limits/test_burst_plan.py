"""The burst plan on model limiters: every wrong one is detected, the correct one never."""

import itertools
import random
from collections import defaultdict
from typing import Any

import pytest

from gaia_checks.judge.limit_compliance import Compliance, compliance
from gaia_checks.recorders.limits import burst_plan
from tests.recorders.limiters import FAULTS, LONG_FAULTS, Check, Log

CLIENTS = 32
SHORT_S, FULL_S = 5.0, 125.0


def recorded(check: Check, window_s: float, seed: int, slow_s: float = 0.005) -> list[dict[str, Any]]:
    """The recording of a limiter: each request is decided and answered after up to `slow_s` each."""
    chance, rules = random.Random(seed), burst_plan.rules(CLIENTS)
    requests = []
    for burst in burst_plan.plan(CLIENTS, window_s):
        for place, key in enumerate(burst.keys):
            sent = burst.at_s + place * 2e-5 + chance.random() * 0.002
            requests.append((sent + chance.random() * slow_s, sent, chance.random() * slow_s, key))
    found = defaultdict(list)
    for decided, sent, back, key in sorted(requests):
        received = decided + back
        admitted = check(key, rules[key], decided)
        found[key].append([int(sent * 1e6), int((received - sent) * 1e6) + 1, admitted])
    return [
        {"key": key, "rules": [[rule.limit, rule.window_s] for rule in rules[key]], "answers": answers}
        for key, answers in found.items()
    ]


def judged(check: Check, window_s: float, seed: int, slow_s: float = 0.005) -> list[Compliance]:
    """The judge's result."""
    return compliance(recorded(check, window_s, seed, slow_s))


def wrong(found: list[Compliance]) -> int:
    """All certainly wrong decisions."""
    return sum(one.false_allows + one.false_denies for one in found)


@pytest.mark.parametrize(("window_s", "allows", "denies"), [(SHORT_S, 30, 150), (FULL_S, 100, 500)])
def test_a_right_limiter_is_never_accused_and_a_fault_would_show(window_s: float, allows: int, denies: int) -> None:
    """A correct limiter passes, also with slow answers; fast ones give hundreds of checks."""
    for seed, slow_s in itertools.product(range(5), (0.002, 0.02, 0.3, 2.0)):
        found = judged(Log(), window_s, seed, slow_s)
        assert wrong(found) == 0
        if slow_s == 0.002:
            assert sum(one.could_allow for one in found) > allows
            assert sum(one.could_deny for one in found) > denies


def test_it_disturbs_nobody() -> None:
    """At most `clients` requests at once, few in total, and too few refusals to trigger the server's alert."""
    plan = burst_plan.plan(CLIENTS, FULL_S)
    assert max(len(burst.keys) for burst in plan) == CLIENTS
    assert 500 < sum(len(burst.keys) for burst in plan) < 10 * FULL_S
    assert plan[-1].at_s < FULL_S <= burst_plan.ENDS_S
    assert burst_plan.plan(CLIENTS, 10 * FULL_S) == plan
    refused = sorted(
        sent_us / 1e6
        for one in recorded(Log(), FULL_S, seed=0)
        for sent_us, _, admitted in one["answers"]
        if not admitted
    )
    busiest = max(sum(start <= other < start + 60 for other in refused) for start in refused)
    assert 50 < busiest < 80


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("window_s", [SHORT_S, FULL_S])
def test_no_wrong_limiter_survives(fault: str, window_s: float) -> None:
    """Every wrong limiter is detected, wherever its windows start, within a few seconds."""
    for seed in range(10):
        assert wrong(judged(FAULTS[fault](seed / 10), window_s, seed)), seed


@pytest.mark.parametrize("fault", LONG_FAULTS)
def test_no_wrong_minute_survives(fault: str) -> None:
    """Two minutes detect faults at minute edges only, wherever they are."""
    for seed in range(20):
        assert wrong(judged(LONG_FAULTS[fault](seed / 20), FULL_S, seed)), seed

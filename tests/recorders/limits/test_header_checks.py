"""Header checks: correct headers are never rejected, wrong ones always."""

import math
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gaia_checks.recorders.limits.burst_plan import BurstRule
from gaia_checks.recorders.limits.header_checks import AnsweredRequest, Span, refused_by, standing, wrong
from tests.recorders.limiters import Log

MINUTE = {"ours": BurstRule("requests_per_minute", 2)}
EPOCH_S = 1_772_000_000.4  # at the zero of our clock


def lower(**headers: str) -> dict[str, str]:
    """Headers by lower-case name: `RateLimit_Policy="..."`."""
    return {name.replace("_", "-").lower(): value for name, value in headers.items()}


def at(now_s: float, admitted: bool, r: int, t: int, **headers: str) -> AnsweredRequest:
    """An answer within 10 ms from a rule of 2 a minute, right but for `headers`; an empty text leaves one out."""
    right = {
        "RateLimit_Policy": '"ours";q=2;w=60',
        "RateLimit": f'"ours";r={r};t={t}',
        "X_RateLimit_Limit": "2",
        "X_RateLimit_Remaining": str(r),
        "X_RateLimit_Reset": str(math.ceil(EPOCH_S + 60.005)),  # all wait for the first, at 0.005 s
        **({} if admitted else {"Retry_After": str(t)}),
    }
    kept = {name: value for name, value in (right | headers).items() if value}
    return AnsweredRequest(now_s, now_s + 0.01, admitted, lower(**kept))


FIRST = (at(0, True, 1, 60), at(10, True, 0, 51))


def test_right_headers_are_right() -> None:
    """Correct headers pass, of admitted and refused requests."""
    assert wrong([*FIRST, at(20.5, False, 0, 40)], MINUTE, EPOCH_S) == [None, None, None]


@pytest.mark.parametrize(
    ("headers", "why"),
    [
        ({"RateLimit_Policy": ""}, "RateLimit-Policy is missing"),
        ({"RateLimit": "a=1"}, "RateLimit is 'a=1', no list of named limits"),
        ({"RateLimit_Policy": '"ours";q=3;w=60'}, "RateLimit-Policy says q=3 for ours, not 2"),
        ({"RateLimit_Policy": '"ours";q=2;w=1'}, "RateLimit-Policy says w=1 for ours, not 60"),
        ({"RateLimit_Policy": '"ours";q=2'}, "RateLimit-Policy says w=None for ours, not 60"),
        ({"RateLimit_Policy": '"others";q=2;w=60'}, "RateLimit-Policy does not name ours"),
        ({"RateLimit": '"ours";r=1;t=40'}, "RateLimit says r=1 for ours, not 0"),
        ({"RateLimit": '"ours";r=0;t=60'}, "RateLimit says t=60 for ours, not 40"),
        ({"Retry_After": ""}, "Retry-After is missing"),
        ({"Retry_After": "41"}, "Retry-After is 41, not 40"),
        ({"Retry_After": "soon"}, "Retry-After is 'soon', no whole number"),
        ({"Retry_After": "9" * 9999}, "Retry-After is '999"),
        ({"RateLimit": f'"ours";r=0;t={"9" * 9999}'}, "RateLimit says t=None for ours, not 40"),
        ({"X_RateLimit_Reset": ""}, "X-RateLimit-Reset is missing"),
        ({"X_RateLimit_Limit": "60"}, "X-RateLimit-Limit and X-RateLimit-Remaining are 60 and 0: not the tightest"),
        ({"X_RateLimit_Remaining": "2"}, "X-RateLimit-Limit and X-RateLimit-Remaining are 2 and 2: not the tightest"),
        ({"X_RateLimit_Reset": "40"}, "X-RateLimit-Reset is -17720"),
        ({"X_RateLimit_Reset": str(math.ceil(EPOCH_S + 62))}, "X-RateLimit-Reset is +2 s away"),
    ],
)
def test_wrong_headers_are_wrong(headers: Mapping[str, str], why: str) -> None:
    """A missing, unreadable or impossible header is named."""
    first, second, third = wrong([*FIRST, at(20.5, False, 0, 40, **headers)], MINUTE, EPOCH_S)
    assert (first, second) == (None, None)
    assert str(third).startswith(why)


def test_what_is_left_is_bounded_by_what_may_have_been_counted() -> None:
    """Earlier admissions count, pending and unanswered ones may, expired ones do not."""
    rule = BurstRule("requests_per_second", 5)
    exchanges = [
        AnsweredRequest(0.0, 0.1, True, {}),  # it has left
        AnsweredRequest(1.5, 1.6, True, {}),
        AnsweredRequest(1.5, 1.6, False, {}),
        AnsweredRequest(1.7, 2.1, True, {}),  # under way
        AnsweredRequest(1.8, math.inf, None, {}),
        AnsweredRequest(2.0, 2.2, True, {}),
        AnsweredRequest(2.3, 2.4, True, {}),  # later
    ]
    found = standing(exchanges[5], exchanges, rule)
    assert found.remaining == Span(5 - 4, 5 - 2)
    assert found.grows_after_s == Span(1, 1)


def test_a_wrong_clock_is_wrong() -> None:
    """A consistent Reset is wrong when it is an hour off."""
    answer = at(0, True, 1, 60, X_RateLimit_Reset=str(math.ceil(EPOCH_S + 3660.005)))
    assert "X-RateLimit-Reset is +3600 s away" in str(wrong([answer], MINUTE, EPOCH_S)[0])


def test_rules_of_others_may_refuse() -> None:
    """With another rule refusing, the gate's rule has some left, and Retry-After is not checked."""
    headers = {
        "RateLimit_Policy": '"other-rule";q=1000;w=1, "ours";q=2;w=60',
        "RateLimit": '"other-rule";r=0;t=1, "ours";r=1;t=50',
        "X_RateLimit_Limit": "1000",
    }
    refused = at(10.5, False, 0, 1, **headers)
    assert refused_by(refused.headers) == {"other-rule"}
    assert wrong([FIRST[0], refused], MINUTE, EPOCH_S) == [None, None]
    assert "says that every rule has some left" in str(wrong([FIRST[0], at(10.5, False, 1, 50)], MINUTE, EPOCH_S)[1])
    assert refused_by({"ratelimit": "r=0"}) == set()


RULES = {"second": BurstRule("requests_per_second", 3), "minute": BurstRule("requests_per_minute", 6)}


@st.composite
def observed(draw: st.DrawFn) -> list[AnsweredRequest]:
    """A client's view of a correct limiter with two rules, at any pace and with any delays."""
    log, exchanges = Log(), []
    for moment in sorted(draw(st.lists(st.floats(0, 90), max_size=40))):
        admitted = log("key", tuple(RULES.values()), moment)
        left = {name: rule.limit - log.used("key", rule, moment) for name, rule in RULES.items()}
        grows = {name: log.oldest("key", rule, moment) + rule.window_s - moment for name, rule in RULES.items()}
        tightest = min(RULES, key=lambda name: (left[name], -grows[name]))
        retry_s = max((grows[name] for name in RULES if not left[name]), default=1)
        headers = lower(
            RateLimit_Policy=", ".join(f'"{name}";q={rule.limit};w={rule.window_s}' for name, rule in RULES.items()),
            RateLimit=", ".join(f'"{name}";r={left[name]};t={math.ceil(grows[name])}' for name in RULES),
            X_RateLimit_Limit=str(RULES[tightest].limit),
            X_RateLimit_Remaining=str(left[tightest]),
            X_RateLimit_Reset=str(math.ceil(EPOCH_S + moment + grows[tightest])),
            Retry_After=str(max(1, math.ceil(retry_s))),
        )
        before, after, lost = draw(st.floats(0, 2)), draw(st.floats(0, 2)), draw(st.integers(0, 9)) == 0
        exchanges.append(
            AnsweredRequest(moment - before, math.inf, None, {})
            if lost
            else AnsweredRequest(moment - before, moment + after, admitted, headers)
        )
    return sorted(exchanges, key=lambda one: one.sent_s)


@given(observed())
def test_a_right_limiter_is_never_called_wrong(exchanges: list[AnsweredRequest]) -> None:
    """Slow and lost answers never make a correct limiter wrong."""
    assert wrong(exchanges, RULES, EPOCH_S) == [None] * len(exchanges)

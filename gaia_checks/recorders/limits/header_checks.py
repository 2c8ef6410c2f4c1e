"""Checks the rate-limit headers of answers against what the client knows. Pure.

What a client knows of a key (when each request was sent and answered, and how) bounds the server's count when it
decided: an admission that was answered before and is recent enough certainly counted, one that was sent before the
answer came may have counted. A header is wrong when no count between these bounds explains it.
"""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

from gaia_checks.recorders.limits.burst_plan import BurstRule

POLICY, LIMITS, RETRY = "RateLimit-Policy", "RateLimit", "Retry-After"
X_LIMIT, X_REMAINING, X_RESET = "X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset"

SLACK_S = 0.1
"""How far the server's clock and ours may drift apart during a recording: 500 ppm of two minutes, and a margin."""

CLOCKS_APART_S = 300.0
"""With a larger clock difference, seconds since the epoch are useless to the server's clients."""

_ITEM = r'"[^"]+"(?:\s*;\s*[a-z*][a-z0-9_.*-]*(?:=[^;,\s]+)?)*'  # of a list of strings, RFC 9651
_LIST = re.compile(rf"{_ITEM}(?:\s*,\s*{_ITEM})*")
_PARAMETER = re.compile(r";\s*([a-z]+)=([0-9]{1,15})(?![^;,\s])")
_NUMBER = re.compile(r"[0-9]{1,15}")

Rules = Mapping[str, BurstRule]
Numbers = Mapping[str, Mapping[str, int]]
"""Both are keyed by rule name."""


@dataclass(frozen=True, slots=True)
class AnsweredRequest:
    """One request of a key and its answer."""

    sent_s: float
    received_s: float  # infinity: no answer came
    admitted: bool | None  # None: unknown
    headers: Mapping[str, str]  # by lower-case name


@dataclass(frozen=True, slots=True)
class Span:
    """All numbers from `low` to `high`."""

    low: float
    high: float

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high

    def __str__(self) -> str:
        return f"{self.low:g}" if self.low == self.high else f"{self.low:g} to {self.high:g}"


@dataclass(frozen=True, slots=True)
class Standing:
    """The possible state of a rule right after a decision."""

    remaining: Span
    grows_at_s: Span  # when the remaining number grows next, on our clock
    grows_after_s: Span  # the same from the decision on, in whole seconds, rounded up


class _Wrong(Exception):
    """What is wrong with a header."""


def named(headers: Mapping[str, str]) -> set[str]:
    """Return the names of the rules that applied, by either header; empty where neither is readable."""
    return {name for header in (POLICY, LIMITS) for name in _items(headers.get(header.lower(), ""))}


def refused_by(headers: Mapping[str, str]) -> set[str]:
    """Return the names of the rules that have nothing left, as far as the headers are readable."""
    return {name for name, numbers in _items(headers.get(LIMITS.lower(), "")).items() if numbers.get("r") == 0}


def wrong(exchanges: Sequence[AnsweredRequest], rules: Rules, epoch_s: float) -> list[str | None]:
    """Say what is wrong with the headers of each answer of one key, None where nothing is.

    `rules` are the key's known rules; others may apply as well. `epoch_s` is the epoch time at the zero of our clock.
    """
    found: list[str | None] = []
    resets: list[Span | None] = []
    for own in exchanges:
        try:
            resets.append(_checked(own, exchanges, rules) if own.admitted is not None else None)
            found.append(None)
        except _Wrong as error:
            resets.append(None)
            found.append(str(error))
    zero_s = _agreed([span for span in resets if span], epoch_s)
    for place, span in enumerate(resets):
        if span and zero_s not in span:
            off_s = (span.low + span.high) / 2 - zero_s
            found[place] = f"{X_RESET} is {off_s:+.0f} s away from when more remains"
    return found


def standing(own: AnsweredRequest, exchanges: Iterable[AnsweredRequest], rule: BurstRule) -> Standing:
    """Return the possible state of a rule after the decision about `own`, one of `exchanges`."""
    limit, window_s = rule.limit, rule.window_s
    others = [each for each in exchanges if each is not own and each.admitted is not False]
    maybe = [
        each for each in others if each.sent_s <= own.received_s and each.received_s >= own.sent_s - window_s - SLACK_S
    ]
    surely = [
        each
        for each in maybe
        if each.admitted and each.received_s < own.sent_s and each.sent_s > own.received_s - window_s + SLACK_S
    ]
    itself = [own] if own.admitted else []
    first_s = min((each.sent_s for each in [*maybe, *itself]), default=own.sent_s - window_s)
    last_s = min((each.received_s for each in [*surely, *itself]), default=own.received_s)
    at = Span(max(first_s + window_s, own.sent_s) - SLACK_S, last_s + window_s + SLACK_S)
    return Standing(
        remaining=Span(*(max(0, limit - len(each) - len(itself)) for each in (maybe, surely))),
        grows_at_s=at,
        grows_after_s=Span(max(0, math.ceil(at.low - own.received_s)), math.ceil(at.high - own.sent_s)),
    )


class _Headers:
    """The headers of one answer, all required. All methods raise _Wrong."""

    def __init__(self, exchange: AnsweredRequest) -> None:
        self._values = exchange.headers

    def number(self, name: str) -> int:
        """Return a whole number."""
        if not _NUMBER.fullmatch(value := self._value(name)):
            raise _Wrong(f"{name} is {value!r}, no whole number")
        return int(value)

    def items(self, name: str) -> Numbers:
        """Return the parameters of each named limit."""
        if not (found := _items(value := self._value(name))):
            raise _Wrong(f"{name} is {value!r}, no list of named limits")
        return found

    def _value(self, name: str) -> str:
        if (value := self._values.get(name.lower())) is None:
            raise _Wrong(f"{name} is missing")
        return value


def _checked(own: AnsweredRequest, exchanges: Sequence[AnsweredRequest], rules: Rules) -> Span | None:
    """Return where X-RateLimit-Reset puts the zero of our clock; None for a foreign rule. Raises _Wrong."""
    headers = _Headers(own)
    policies, limits = headers.items(POLICY), headers.items(LIMITS)
    standings = {name: standing(own, exchanges, rule) for name, rule in rules.items()}
    for name, rule in rules.items():
        _within(POLICY, name, policies, {"q": _only(rule.limit), "w": _only(rule.window_s)})
        _within(LIMITS, name, limits, {"r": standings[name].remaining, "t": standings[name].grows_after_s})
    if own.admitted is False:
        _retry(headers.number(RETRY), limits, standings)
    tightest = _tightest(headers.number(X_LIMIT), headers.number(X_REMAINING), policies, limits)
    reset = headers.number(X_RESET)  # rounded up
    if not tightest <= standings.keys():
        return None
    grows = [standings[name].grows_at_s for name in tightest]
    return Span(reset - 1 - max(at.high for at in grows), reset - min(at.low for at in grows))


def _within(header: str, name: str, found: Numbers, spans: Mapping[str, Span]) -> None:
    if name not in found:
        raise _Wrong(f"{header} does not name {name}")
    for key, span in spans.items():
        if (value := found[name].get(key)) is None or value not in span:
            raise _Wrong(f"{header} says {key}={value} for {name}, not {span}")


def _retry(after_s: int, limits: Numbers, standings: Mapping[str, Standing]) -> None:
    """Check that Retry-After is when the last of the refusing rules would admit; at least a second."""
    refusing = {name for name, numbers in limits.items() if numbers.get("r") == 0}
    if not refusing:
        raise _Wrong(f"{LIMITS} says that every rule has some left")
    ours = [standings[name].grows_after_s for name in refusing & standings.keys()]
    latest = math.inf if refusing - standings.keys() else max(1, *(span.high for span in ours))
    span = Span(max([1, *(span.low for span in ours)]), latest)
    if after_s not in span:
        raise _Wrong(f"{RETRY} is {after_s}, not {span}")


def _tightest(x_limit: int, x_remaining: int, policies: Numbers, limits: Numbers) -> set[str]:
    """Return the rules that the X- headers may describe: those of this limit with the least left."""
    least = min(numbers.get("r", math.inf) for numbers in limits.values())
    found = {
        name
        for name, numbers in limits.items()
        if numbers.get("r") == least == x_remaining and policies.get(name, {}).get("q") == x_limit
    }
    if not found:
        raise _Wrong(f"{X_LIMIT} and {X_REMAINING} are {x_limit} and {x_remaining}: not the tightest rule's")
    return found


def _only(value: float) -> Span:
    return Span(value, value)


def _items(text: str) -> dict[str, dict[str, int]]:
    """Read `"name";r=9;t=1, "other";r=...`; empty for anything else. Parameters that are no numbers are left out."""
    if not _LIST.fullmatch(text.strip()):
        return {}
    return {
        item.split('"')[1]: {name: int(value) for name, value in _PARAMETER.findall(item)}
        for item in re.findall(_ITEM, text)
    }


def _agreed(spans: Sequence[Span], near: float) -> float:
    """Return the middle of what most spans contain; `near` if there is none, or if it is too far from that."""
    steps = sorted([(span.low, 0) for span in spans] + [(span.high, 1) for span in spans])
    if not steps:
        return near
    overlaps = list(accumulate(-1 if ends else 1 for _, ends in steps))
    most = overlaps.index(max(overlaps))
    middle = (steps[most][0] + steps[most + 1][0]) / 2
    return middle if abs(middle - near) <= CLOCKS_APART_S else near

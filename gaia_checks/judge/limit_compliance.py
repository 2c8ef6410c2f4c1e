"""How well a server complied with the limits of some keys, and how many responses could have revealed a fault. Pure.

Finding no fault proves little if none was observable: responses that take longer than a window leave every order of
decisions possible. So the responses whose opposite would have been certainly wrong are counted as well.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gaia_checks.judge.admissions import RESOLUTION_S, TimedAnswer, false_allows, had_room, was_full

DRIFT = 500e-6
"""How far two clocks may drift apart, in seconds per second: the frequency tolerance of NTP (RFC 5905, MAXFREQ)."""

_US = 1e-6


@dataclass(frozen=True, slots=True)
class WindowLimit:
    """One limit that applies to a key."""

    limit: int
    window_s: float

    @property
    def slack_s(self) -> float:
        """How far the server's clock and the client's may drift apart within the window."""
        return RESOLUTION_S + DRIFT * self.window_s

    def judge(self, decide: Callable[..., Any], answers: Sequence[TimedAnswer]) -> Any:
        """Return the result of a function of `judge.admissions` for this rule."""
        return decide(answers, limit=self.limit, window_s=self.window_s, slack_s=self.slack_s)

    def __str__(self) -> str:
        return f"{self.limit} in {self.window_s:g} s"


@dataclass(frozen=True, slots=True)
class Compliance:
    """The certainly wrong decisions about one key. A request passes when all of the key's rules admit it."""

    key: str
    rules: tuple[WindowLimit, ...]
    false_allows: int
    false_denies: int
    could_allow: int  # refusals that would have been certainly wrong as admissions
    could_deny: int  # admissions that would have been certainly wrong as refusals

    def __str__(self) -> str:
        return f"{self.key}, {' and '.join(map(str, self.rules))}"


def compliance(value: Iterable[Mapping[str, Any]]) -> list[Compliance]:
    """Judge the responses that the limits recorder wrote, key by key.

    `value`: [{"key": str, "rules": [[limit, window in s], ...], "answers": [[sent, took, admitted], ...]}, ...]; times
    in whole microseconds, `sent` since the start; `took` is null when no response came, `admitted` when it is unknown.
    """
    return [_compliance(one["key"], [WindowLimit(*rule) for rule in one["rules"]], one["answers"]) for one in value]


def _compliance(key: str, rules: Sequence[WindowLimit], records: Iterable[Sequence[Any]]) -> Compliance:
    answers = [_answer(*record) for record in records]
    room = [all(each) for each in zip(*(rule.judge(had_room, answers) for rule in rules), strict=True)]
    full = [any(each) for each in zip(*(rule.judge(was_full, answers) for rule in rules), strict=True)]
    admitted = [answer.admitted for answer in answers]
    return Compliance(
        key,
        tuple(rules),
        false_allows=max(rule.judge(false_allows, answers) for rule in rules),
        false_denies=sum(had and was is False for had, was in zip(room, admitted, strict=True)),
        could_allow=sum(used_up and was is False for used_up, was in zip(full, admitted, strict=True)),
        could_deny=sum(had and was is True for had, was in zip(room, admitted, strict=True)),
    )


def _answer(sent_us: int, took_us: int | None, admitted: bool | None) -> TimedAnswer:
    received_us = math.inf if took_us is None else sent_us + took_us
    return TimedAnswer(sent_us * _US, received_us * _US, admitted)

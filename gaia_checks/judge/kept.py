"""How well limits were kept, of all requests for some keys, and how many answers could have shown a fault. Pure.

A look that sees no fault says little if none could have been seen: answers that take longer than a window leave
every order of decisions open. So it is also counted which answers would have been certainly wrong the other way round.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gaia_checks.judge.admissions import RESOLUTION_S, Answer, false_allows, had_room, was_full

DRIFT = 500e-6
"""How far two clocks may go apart, in seconds per second: the frequency tolerance of NTP (RFC 5905, MAXFREQ)."""

_US = 1e-6


@dataclass(frozen=True, slots=True)
class Rule:
    """One limit that a key is under."""

    limit: int
    window_s: float

    @property
    def slack_s(self) -> float:
        """How far the server's clock and ours may go apart within the window."""
        return RESOLUTION_S + DRIFT * self.window_s

    def judge(self, decide: Callable[..., Any], answers: Sequence[Answer]) -> Any:
        """Return what a function of `judge.admissions` finds for this rule."""
        return decide(answers, limit=self.limit, window_s=self.window_s, slack_s=self.slack_s)

    def __str__(self) -> str:
        return f"{self.limit} in {self.window_s:g} s"


@dataclass(frozen=True, slots=True)
class Kept:
    """What is certain of the decisions about one key. A request passes when all of the key's rules admit it."""

    key: str
    rules: tuple[Rule, ...]
    false_allows: int
    false_denies: int
    could_allow: int  # refusals that would have been certainly wrong as admissions
    could_deny: int  # admissions that would have been certainly wrong as refusals

    def __str__(self) -> str:
        return f"{self.key}, {' and '.join(map(str, self.rules))}"


def kept(value: Iterable[Mapping[str, Any]]) -> list[Kept]:
    """Judge what the look at limits recorded, key by key.

    `value`: [{"key": str, "rules": [[limit, window in s], ...], "answers": [[sent, took, admitted], ...]}, ...]; times
    in whole microseconds, `sent` since the start; `took` is null when no answer came, `admitted` when it is not known.
    """
    return [_kept(one["key"], [Rule(*rule) for rule in one["rules"]], one["answers"]) for one in value]


def _kept(key: str, rules: Sequence[Rule], records: Iterable[Sequence[Any]]) -> Kept:
    answers = [_answer(*record) for record in records]
    room = [all(each) for each in zip(*(rule.judge(had_room, answers) for rule in rules), strict=True)]
    full = [any(each) for each in zip(*(rule.judge(was_full, answers) for rule in rules), strict=True)]
    admitted = [answer.admitted for answer in answers]
    return Kept(
        key,
        tuple(rules),
        false_allows=max(rule.judge(false_allows, answers) for rule in rules),
        false_denies=sum(had and was is False for had, was in zip(room, admitted, strict=True)),
        could_allow=sum(used_up and was is False for used_up, was in zip(full, admitted, strict=True)),
        could_deny=sum(had and was is True for had, was in zip(room, admitted, strict=True)),
    )


def _answer(sent_us: int, took_us: int | None, admitted: bool | None) -> Answer:
    received_us = math.inf if took_us is None else sent_us + took_us
    return Answer(sent_us * _US, received_us * _US, admitted)

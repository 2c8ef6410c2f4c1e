"""Whether quotas count exactly what was admitted: live, and on a rehearsal copy after a crash and at period edges."""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta

from gaia_checks.errors import NotReady
from gaia_checks.model import NOT_CHECKED, Measurement, Target
from gaia_checks.probes.rehearsal import moved_admissions
from gaia_checks.probes.rehearsal.calendar_periods import QUOTAS, period_end, period_start, within_a_day
from gaia_checks.probes.rehearsal.copy_measurements import measured_on, part
from gaia_checks.probes.rehearsal.copy_protocol import CopyProtocol
from gaia_checks.probes.rehearsal.counted_rules import (
    CountedRule,
    Counting,
    counting,
    wrong_headers,
    wrong_split,
    wrong_usage,
)
from gaia_checks.target.samples import Score, Watch

HOUR = "requests_per_hour"

_LIMIT = 20
_FIRST = 12  # admitted before the first check
_BEYOND = 6  # refused
_MORE = 3  # the increase of the limit at the end

_LIMIT_ON_COPY = 8
_BEFORE_CRASH = 5

_EDGE = timedelta(milliseconds=1)
_INTO_MONTH = timedelta(days=14, hours=1)
_END_BLUR = timedelta(seconds=30)  # the time a request takes, and the drift between two clocks
_LEFT_OF_HOUR = timedelta(seconds=60)  # the rest of its window at the check before it expires
_ALMOST_AN_HOUR = timedelta(hours=1) - _LEFT_OF_HOUR

_ON_COPY = {
    "quotas.kept_across_restart": "bool",
    "quotas.kept_by_retention": "count",
    "quotas.reset_at_period_edges": "count",
    "quotas.hour_window_expires": "count",
}

Sample = str | None  # the fault; None for a good sample


def probe(target: Target, *, copy: AbstractContextManager[CopyProtocol]) -> list[Measurement]:
    """Measure `quotas.counts_equal` live, and on the rehearsal copy what would harm the target.

    Those are `quotas.kept_across_restart`, `quotas.kept_by_retention`, `quotas.reset_at_period_edges` and
    `quotas.hour_window_expires`; without a rehearsal copy they have no samples, but a reason. Raises TargetUnreachable
    when the target does not answer.
    """
    return [within_a_day(lambda: live(target)), *on_copy(copy)]


def live(target: Target) -> Measurement:
    """Count requests against temporary rules of this run, several at once, and beyond the limits."""
    watch, tally = Watch(), Score()
    with counting(target) as counts:
        rules = [counts.rule(f"quotas-{quota}", quota, _LIMIT) for quota in QUOTAS]
        counts.settle()
        for rule in rules:
            for sample in _counted(counts, rule):
                tally.add(sample)
        raised = [counts.limited(rule, _LIMIT + _MORE) for rule in rules]
        counts.settle()
        for rule in raised:
            tally.add(wrong_split(rule, counts.send(rule, 2 * _MORE), admitted=_MORE))
            tally.add(wrong_usage(rule, counts.usage(rule), used=rule.limit))
    how = "answers, headers and GET /usage against what was sent, for a daily, a weekly and a monthly quota"
    return watch.counted("quotas.counts_equal", tally, how)


def on_copy(copy: AbstractContextManager[CopyProtocol]) -> list[Measurement]:
    """Deploy the release on a rehearsal copy, crash it, and move its stored admissions to the period edges."""

    def look(place: CopyProtocol) -> list[Measurement]:
        place.deploy(place.current)
        return within_a_day(lambda: _on_copy(place))

    return measured_on(copy, _ON_COPY, look)


def _counted(counts: Counting, rule: CountedRule) -> Iterator[Sample]:
    """Send requests up to the limit and beyond, and yield whether answers, headers and usage report them."""
    yield wrong_split(rule, counts.send(rule, _FIRST - 1), admitted=_FIRST - 1)
    yield wrong_headers(rule, *counts.send(rule, 1), left=_LIMIT - _FIRST)
    yield wrong_usage(rule, counts.usage(rule), used=_FIRST)
    yield wrong_split(rule, counts.send(rule, _LIMIT - _FIRST + _BEYOND), admitted=_LIMIT - _FIRST)
    yield wrong_headers(rule, *counts.send(rule, 1), left=0)
    yield wrong_usage(rule, counts.usage(rule), used=_LIMIT)


# On the rehearsal copy ---------------------------------------------------------------------------


def _on_copy(place: CopyProtocol) -> list[Measurement]:
    with counting(place.target) as counts:
        counts.known()
        rules = {kind: counts.rule(f"copy-{kind}", kind, _LIMIT_ON_COPY) for kind in (*QUOTAS, HOUR)}
        idle = counts.rule("copy-idle", HOUR, _LIMIT_ON_COPY)
        counts.settle()
        looks = (
            lambda: _kept(place, counts, rules),
            lambda: _retained(place, counts, rules, idle),
            lambda: _edges(place, counts, rules),
            lambda: _hour(place, counts, rules[HOUR]),
        )
        return [part(name, unit, look) for (name, unit), look in zip(_ON_COPY.items(), looks, strict=True)]


def _kept(place: CopyProtocol, counts: Counting, rules: Mapping[str, CountedRule]) -> Measurement:
    """Use a part of each limit, crash the rehearsal copy, and use up the rest: then all limits are reached."""
    watch = Watch()
    try:
        notes = [wrong for wrong in _over_a_crash(place, counts, rules) if wrong]
    except NotReady as error:
        notes = [str(error)]
    how = "counts of three quotas and of an hour's window, before and after SIGKILL of the server and its PostgreSQL"
    return watch.measurement("quotas.kept_across_restart", not notes, "bool", len(rules), how, notes)


def _over_a_crash(place: CopyProtocol, counts: Counting, rules: Mapping[str, CountedRule]) -> Iterator[Sample]:
    for rule in rules.values():
        admitted = counts.send(rule, _BEFORE_CRASH)
        yield _in("before the crash", wrong_split(rule, admitted, admitted=_BEFORE_CRASH))
    place.crash()
    rest = _LIMIT_ON_COPY - _BEFORE_CRASH
    for rule in rules.values():
        yield _in("after the crash", wrong_usage(rule, counts.usage(rule), used=_BEFORE_CRASH))
        yield _in("after the crash", wrong_split(rule, counts.send(rule, rest + 2), admitted=rest))


def _retained(
    place: CopyProtocol, counts: Counting, rules: Mapping[str, CountedRule], idle: CountedRule
) -> Measurement:
    """Use up each limit, let the retention delete what is old, and look whether it deleted what is not."""
    watch, tally, hour = Watch(), Score(), rules[HOUR]
    how = "used-up quotas, and an hour's window that is idle for 59 minutes, after the retention has run"
    for rule in rules.values():
        counts.send(rule, _LIMIT_ON_COPY)  # whatever its state before
    _make_almost_an_hour_old(place.target, hour)
    if not moved_admissions.retention_ran(place.target, counts, idle):
        why = (
            f"{NOT_CHECKED}the server did not run its retention within seconds (RETENTION_INTERVAL_S, docs/contract.md)"
        )
        moved_admissions.move(place.target, hour, back=-_ALMOST_AN_HOUR)
        return watch.measurement("quotas.kept_by_retention", 0, "count", 0, how, (why,))
    for rule in rules.values():
        tally.add(_in("after the retention", wrong_split(rule, counts.send(rule, 2), admitted=0)))
        tally.add(_in("after the retention", wrong_usage(rule, counts.usage(rule), used=_LIMIT_ON_COPY)))
    if not tally.wrong:
        moved_admissions.move(place.target, hour, back=-_ALMOST_AN_HOUR)
    return watch.counted("quotas.kept_by_retention", tally, how)


def _edges(place: CopyProtocol, counts: Counting, rules: Mapping[str, CountedRule]) -> Measurement:
    watch, tally, now = Watch(), Score(), datetime.now(UTC)
    for quota in QUOTAS:
        for sample in _edge(place, counts, rules[quota], period_start(quota, now)):
            tally.add(sample)
    for sample in _months(place, counts, rules["monthly_quota"], now):
        tally.add(sample)
    how = (
        "used-up quotas, moved to the start of their period (still used up), to just before it (free), and the monthly "
        "one to later months (used up until they end)"
    )
    return watch.counted("quotas.reset_at_period_edges", tally, how)


def _edge(place: CopyProtocol, counts: Counting, rule: CountedRule, start: datetime) -> Iterator[Sample]:
    counts.send(rule, _LIMIT_ON_COPY)  # whatever its state before
    yield _in("used up", wrong_split(rule, counts.send(rule, 2), admitted=0))
    moved_admissions.move(place.target, rule, to=start)
    yield _in(f"used up at {start:%a %d %H:%M}", wrong_split(rule, counts.send(rule, 2), admitted=0))
    moved_admissions.move(place.target, rule, to=start - _EDGE)
    freed = counts.send(rule, _LIMIT_ON_COPY)  # and no more: the first one must be admitted
    yield _in(f"used up just before {start:%a %d %H:%M}", wrong_split(rule, freed, admitted=_LIMIT_ON_COPY))
    refused = counts.send(rule, 2)
    now = datetime.now(UTC)
    ends = _wrong_end(rule, refused[0].retry_after_s, now, period_end(rule.limit_type, now))
    yield _in("in the next period", wrong_split(rule, refused, admitted=0) or ends)
    yield _in("in the next period", wrong_usage(rule, counts.usage(rule), used=_LIMIT_ON_COPY))


def _months(place: CopyProtocol, counts: Counting, rule: CountedRule, now: datetime) -> Iterator[Sample]:
    """Use up the quota in each of the next two months, as if the clock had been set back since: one has not 30 days.

    A key's time stays at its newest admission (docs/contract.md).
    """
    counts.send(rule, _LIMIT_ON_COPY)  # whatever its state before
    month = now
    for _ in range(2):
        month = period_end(rule.limit_type, month)
        moved_admissions.move(place.target, rule, to=month + _INTO_MONTH)
        refused = counts.send(rule, 2)
        situation = f"used up on {month + _INTO_MONTH:%d %B}, with the clock set back since"
        ends = _wrong_end(rule, refused[0].retry_after_s, datetime.now(UTC), period_end(rule.limit_type, month))
        yield _in(situation, wrong_split(rule, refused, admitted=0) or ends)


def _wrong_end(rule: CountedRule, retry_after_s: int | None, now: datetime, end: datetime) -> Sample:
    """Return the fault unless a used-up quota is refused until its period ends."""
    left_s = (end - now).total_seconds()
    if retry_after_s is not None and abs(retry_after_s - left_s) <= _END_BLUR.total_seconds():
        return None
    return f"{rule.limit_type}: Retry-After is {retry_after_s}, and the period ends in {left_s:.0f} s"


def _make_almost_an_hour_old(target: Target, rule: CountedRule) -> None:
    """Move all admissions of an hour's window alike: on a slow machine the first ones are a minute old already."""
    moved_admissions.move(target, rule, to=datetime.now(UTC) - _ALMOST_AN_HOUR)


def _hour(place: CopyProtocol, counts: Counting, rule: CountedRule) -> Measurement:
    watch, tally = Watch(), Score()
    counts.send(rule, _LIMIT_ON_COPY)  # whatever its state before
    tally.add(_in("used up", wrong_split(rule, counts.send(rule, 2), admitted=0)))
    _make_almost_an_hour_old(place.target, rule)
    (refused,) = counts.send(rule, 1)
    tally.add(_in("59 minutes later", wrong_split(rule, [refused], admitted=0)))
    retry_after_s = refused.retry_after_s
    later = (
        None
        if retry_after_s and retry_after_s <= _LEFT_OF_HOUR.total_seconds()
        else f"{rule.limit_type}: Retry-After is {retry_after_s}"
    )
    tally.add(_in("59 minutes later", later))
    moved_admissions.move(place.target, rule, back=_LEFT_OF_HOUR)
    freed = counts.send(rule, _LIMIT_ON_COPY)
    tally.add(_in("an hour later", wrong_split(rule, freed, admitted=_LIMIT_ON_COPY)))
    tally.add(_in("used up again", wrong_split(rule, counts.send(rule, 2), admitted=0)))
    how = "an hour's window that is used up, its admissions moved back by 59 minutes (still used up) and by 60 (free)"
    return watch.counted("quotas.hour_window_expires", tally, how)


def _in(situation: str, wrong: Sample) -> Sample:
    return f"{situation}: {wrong}" if wrong else None

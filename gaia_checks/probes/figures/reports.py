"""What usage, violations, analytics and refusals report of known traffic: one sample per figure, None if right."""

import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from gaia_checks.probes.figures.known_traffic import Known, KnownRule, sent_in
from gaia_checks.target.responses import ANALYTICS, USAGE, VIOLATIONS, Answer, wrong_object, wrong_problem

SPREAD = timedelta(seconds=10)
"""At most so far are the clocks of this machine and of the database apart."""

SUMMED_S = 3.5
"""Analytics are summed at least as often."""

_WITHIN_S = 5.0
_POLL_S = 0.25
_PART_NAMES = {"decisions": None, "by_resource": "config", "by_scope": "api_key"}  # parts of the totals -> ours, or all
_MOST_ROWS = 200
_RESETS_WITHIN = timedelta(seconds=0.5)
_NEARLY = 0.01  # of rounded shares
_FEW_RULES = 10  # a shorter list has all rules that refused

Sample = str | None


def refusals(known: Known) -> Iterator[Sample]:
    """Yield the fault of each refusal's body and headers."""
    for answer in known.refusals:
        wait = answer.headers.get("Retry-After", "")
        late = None if wait.isdecimal() and int(wait) >= 1 else answer.fault(f"Retry-After is {wait!r}")
        yield wrong_problem(answer, 429) or late


def usage(known: Known) -> Iterator[Sample]:
    """Yield the fault of each rule's usage: exactly what was admitted, of each limit type."""
    for rule in known.rules:
        answer = known.get(USAGE, rule_id=rule.id)
        items = _items(answer)
        wanted = {**rule.body, "used": rule.used, "key": rule.counted_key}
        wanted |= {"remaining": rule.body["limit_value"] - rule.used, "effective_limit": rule.body["limit_value"]}
        if _moved_on(known, rule):
            yield None
        elif not rule.used:
            yield answer.fault(f"{rule.name}: {len(items)} items without any request") if items else None
        elif len(items) != 1:
            yield answer.fault(f"{rule.name}: {len(items)} items instead of 1")
        else:
            yield _unlike(answer, rule, items[0], wanted, ("rule_name", "limit_type", "limit_value", "effective_limit"))
            yield _unlike(answer, rule, items[0], wanted, ("key", "used", "remaining"))


def minute_resets_at(known: Known) -> datetime | None:
    """Return when the oldest request under the rule per minute leaves its window; None if that is not reported."""
    items = _items(known.get(USAGE, rule_id=_per_minute(known).id))
    return time_of(items[0].get("resets_at")) if items else None


def same_reset(known: Known, earlier: datetime | None) -> Iterator[Sample]:
    """Yield the fault if a newer request has moved the time when the oldest leaves."""
    rule, now = _per_minute(known), minute_resets_at(known)
    if _moved_on(known, rule):
        yield None
    elif earlier is None or now is None:
        yield f"{rule.name}: resets_at is no time, although requests are in its window"
    else:
        right = now - earlier < _RESETS_WITHIN
        yield None if right else f"{rule.name}: resets_at moved from {earlier} to {now} with a newer request"


def _per_minute(known: Known) -> KnownRule:
    return next(rule for rule in known.generous if rule.body["limit_type"] == "requests_per_minute")


def violations(known: Known) -> Iterator[Sample]:
    """Yield the fault of each rule's violations: every refusal once, with its client, rule and time."""
    earliest, latest = known.started - SPREAD, datetime.now(UTC) + SPREAD
    for rule in known.rules:
        answer = known.get(VIOLATIONS, rule_id=rule.id)
        items = _items(answer)
        hits = sum(item.get("hits", 0) for item in items)
        yield None if hits == rule.hits else answer.fault(f"{rule.name}: {hits} hits instead of {rule.hits}")
        for item in items:
            wanted = {**rule.body, "key": rule.counted_key, "resource_type": "config"}
            yield _unlike(
                answer, rule, item, wanted, ("rule_name", "limit_type", "limit_value", "key", "resource_type")
            )
            moment = time_of(item.get("occurred_at"))
            right = moment is not None and earliest <= moment <= latest
            yield None if right else answer.fault(f"{rule.name}: occurred_at is {item.get('occurred_at')!r}")
        yield _wrong_seconds(answer, rule, items)
        yield _stale(answer, rule, items, _items(known.after_one[rule.id]) if rule.hits else [])


def _wrong_seconds(answer: Answer, rule: KnownRule, items: list[dict[str, Any]]) -> Sample:
    """Find items that are not one per second: a flood would fill the list."""
    times = [moment for item in items if (moment := time_of(item.get("occurred_at"))) is not None]
    seconds = {moment.replace(microsecond=0) for moment in times}
    if len(seconds) < len(times):
        return answer.fault(f"{rule.name}: {len(times)} items of {len(seconds)} seconds, should be one per second")
    part = next((moment for moment in times if moment.microsecond), None)
    return answer.fault(f"{rule.name}: occurred_at is {part.isoformat()}, should be the second") if part else None


def _stale(answer: Answer, rule: KnownRule, items: list[dict[str, Any]], earlier: list[dict[str, Any]]) -> Sample:
    """Compare `last_at` with what it was before more refusals of the same second."""
    before = {item.get("occurred_at"): item for item in earlier}
    for item in items:
        was = before.get(item.get("occurred_at"), item)
        last_at, more = item.get("last_at"), item.get("hits", 0) - was.get("hits", 0)
        if more > 0 and last_at == was.get("last_at"):
            return answer.fault(f"{rule.name}: last_at is still {last_at!r} after {more} more refusals")
    return None


def not_in_analytics(known: Known) -> Iterator[str]:
    """Yield what is compared and is not in the analytics."""
    answer = known.get(ANALYTICS, minutes=5)
    found = answer.body if wrong_object(answer) is None else {}
    yield from (f"{name} in GET {ANALYTICS}" for name in ("totals", *_PART_NAMES, "by_rule") if name not in found)


def denied_so_far(known: Known) -> int:
    """Return how many requests the analytics count as denied since the minute in which the traffic started."""
    return sum(item["denied"] for item in _since(known.get(ANALYTICS, minutes=5), known.started))


def until_denied(known: Known, count: int) -> None:
    """Wait until the analytics count so many denied requests; `analytics` says what is wrong if they never do."""
    _until(time.monotonic() + _WITHIN_S, lambda: None if denied_so_far(known) >= count else "not yet")


def analytics(known: Known, denied_before: int, reported: float) -> Iterator[Sample]:
    """Yield the fault of each figure: what was sent is in it, it is in no figure twice, and its parts are its sum.

    `reported` is the most denied requests that any other report has, of everybody: rules of others may be deleted, and
    their violations with them.
    """
    deadline = time.monotonic() + _WITHIN_S
    yield _until(deadline, lambda: _wrong_denied(known, denied_before, reported))
    for parts in _PART_NAMES:
        for minutes, per in ((60, "minute"), (60, "hour"), (1, "minute")):
            yield _until(deadline, partial(_wrong_sum, known, parts, minutes, per))
        yield _until(deadline, partial(_wrong_part, known, parts))
    answer = known.get(ANALYTICS, minutes=60)
    for rule in known.refusing:
        yield _wrong_rule(answer, rule)


def _wrong_denied(known: Known, before: int, reported: float) -> Sample:
    """Compare with the violations of everybody: a request that one rule refuses is one denial and one hit."""
    answer = known.get(ANALYTICS, minutes=5)
    denied = sum(item["denied"] for item in _since(answer, known.started)) - before
    least = sum(rule.hits for rule in known.refusing)
    everybody = known.get(VIOLATIONS, since=(known.started - SPREAD).isoformat(), limit=_MOST_ROWS)
    most = max(reported, sum(item["hits"] for item in _items(everybody)))
    if denied < least:
        return answer.fault(f"{denied} more denied, of {least} refused requests")
    if denied > most and everybody.body["total"] <= _MOST_ROWS:
        return answer.fault(f"{denied} more denied, although all other reports have {most:g} at most")
    return None


def _wrong_sum(known: Known, parts: str, minutes: int, per: str) -> Sample:
    answer = known.get(ANALYTICS, minutes=minutes, per=per)
    totals, items = answer.body["totals"], answer.body[parts]
    for what in ("admitted", "denied"):
        if (found := sum(item[what] for item in items)) != totals[what]:
            return answer.fault(f"{what} of {parts} sum up to {found}, totals of {minutes} min has {totals[what]}")
    decided = totals["admitted"] + totals["denied"]
    ratio = totals["denied"] / decided if decided else None
    right = ratio is None if totals["denied_ratio"] is None else abs((ratio or 0) - totals["denied_ratio"]) < _NEARLY
    return None if right else answer.fault(f"denied_ratio is {totals['denied_ratio']} of {totals}")


def _wrong_part(known: Known, parts: str) -> Sample:
    """Find the known requests in their part: scope api_key, resource config."""
    answer = known.get(ANALYTICS, minutes=5)
    mine = [item for item in answer.body[parts] if _PART_NAMES[parts] in (None, *item.values())]
    denied = sum(rule.hits for rule in known.refusing)
    for what, least in (("denied", denied), ("admitted", sent_in(known) - denied)):
        if (found := sum(item[what] for item in mine)) < least:
            return answer.fault(f"{parts}: {found} {what}, of {least} sent")
    return None


def _wrong_rule(answer: Answer, rule: KnownRule) -> Sample:
    items = answer.body["by_rule"]
    item = next((each for each in items if each["rule_id"] == rule.id), None)
    if item is None:  # the list has the most refused rules only
        return answer.fault(f"by_rule has no {rule.name}") if all(each["hits"] < rule.hits for each in items) else None
    wanted = {"hits": rule.hits, "keys": 1, "rule_name": rule.name}
    if wrong := _unlike(answer, rule, item, wanted, tuple(wanted)):
        return wrong
    shares = sum(each["share"] for each in items)
    if shares > 1 + _NEARLY:
        return answer.fault(f"by_rule: the shares sum up to {shares}")
    whole = sum(each["hits"] for each in items)
    if len(items) < _FEW_RULES and abs(item["share"] - rule.hits / whole) > _NEARLY:
        return answer.fault(f"{rule.name}: share is {item['share']} with {rule.hits} of {whole} hits")
    return None


def _since(answer: Answer, started: datetime) -> Iterator[Mapping[str, Any]]:
    minute = started.replace(second=0, microsecond=0)
    for item in (answer.body or {}).get("decisions", ()):
        moment = time_of(item.get("start"))
        if moment is not None and moment >= minute:
            yield item


def _unlike(
    answer: Answer, rule: KnownRule, item: Mapping[str, Any], wanted: Mapping[str, Any], names: tuple[str, ...]
) -> Sample:
    for name in names:
        if item.get(name) != wanted[name]:
            return answer.fault(f"{rule.name}: {name} is {item.get(name)!r} instead of {wanted[name]!r}")
    return None


def _items(answer: Answer) -> list[dict[str, Any]]:
    items = answer.body.get("items") if wrong_object(answer) is None else None
    return [item for item in items if isinstance(item, dict)] if isinstance(items, list) else []


def _moved_on(known: Known, rule: KnownRule) -> bool:
    """Whether the requests may have left the rule's window or period."""
    now, kind = datetime.now(UTC), rule.body["limit_type"]
    windows = {"requests_per_second": 0, "requests_per_minute": 50, "requests_per_hour": 3500}
    if kind in windows:
        return (now - known.started).total_seconds() >= windows[kind]
    return (now + SPREAD).date() != (known.started - SPREAD).date()


def time_of(text: object) -> datetime | None:
    """Return an RFC 3339 time; None for what is none."""
    try:
        return datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        return None


def _until(deadline: float, look: Callable[[], Sample]) -> Sample:
    """Look again while something is wrong: figures are summed from time to time, and others are served meanwhile."""
    while (wrong := look()) and time.monotonic() < deadline:
        time.sleep(_POLL_S)
    return wrong

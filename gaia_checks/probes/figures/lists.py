"""Lists: pages neither repeat nor lose a row, `total` is the total, filters include and exclude."""

import math
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

from gaia_checks.probes.figures.known_traffic import Known, KnownRule
from gaia_checks.probes.figures.reports import SPREAD, time_of
from gaia_checks.target.responses import CONFIG, USAGE, VIOLATIONS, Answer, wrong_list

_PAGES = 4  # about as many as a list is read in
_MOST_ROWS = 2000  # a longer list is not read to its end
_TRIES = 5  # others may change a list while it is read
_AGAIN_S = 0.2

Sample = str | None
_IDENTITY = {CONFIG: ("id",), USAGE: ("rule_id", "key"), VIOLATIONS: ("id",)}


def lists(known: Known) -> Iterator[Sample]:
    """Yield one sample per list and filter."""
    for rule in known.rules:
        yield _found(known.get(CONFIG, rule_name=rule.name), [rule], exactly=True)
    enabled = [rule for rule in known.rules if rule.body["enabled"]]
    disabled = [rule for rule in known.rules if not rule.body["enabled"]]
    yield _pages(known, CONFIG, enabled, {"scope": "api_key", "enabled": "true"}, without=disabled)
    yield _pages(known, CONFIG, disabled, {"enabled": "false"}, without=enabled)
    yield _pages(known, CONFIG, [], {"scope": "global"}, without=known.rules)
    for rule in known.refusing:
        for text in (rule.name, str(rule.body["scope_value"])):
            yield _found(known.get(CONFIG, search=text[1:].swapcase()), [rule], exactly=True)
    yield _pages(known, USAGE, enabled, {"scope": "api_key"}, without=disabled)
    finished = {"since": (known.started - SPREAD).isoformat(), "until": _last_refusal(known)}
    yield _pages(known, VIOLATIONS, known.refusing, finished)
    for rule in known.refusing:
        others = [each for each in known.rules if each is not rule]
        for path in (USAGE, VIOLATIONS):
            yield _pages(known, path, [rule], {"key": rule.counted_key}, without=others)
            yield _pages(known, path, [], {"key": rule.counted_key[:-1]}, without=known.rules)
            yield _pages(known, path, [rule], {"rule_id": rule.id}, without=others)
            yield _pages(known, path, [], {"rule_id": rule.id, "scope": "ip"}, without=known.rules)
        yield _pages(known, VIOLATIONS, [], {"rule_id": rule.id, "until": "2020-01-01T00:00:00Z"}, without=[rule])


def _last_refusal(known: Known) -> str:
    """Return the end of the second of the newest known refusal: nothing is added to the list before it any more."""
    answers = (known.get(VIOLATIONS, rule_id=rule.id) for rule in known.refusing)
    items = (item for answer in answers if wrong_list(answer, 200) is None for item in answer.body["items"])
    times = (time_of(item.get("occurred_at")) for item in items)  # `reports` judges those that are none
    newest = max((moment for moment in times if moment is not None), default=datetime.now(UTC))
    return (newest + timedelta(seconds=1)).isoformat()


def _found(answer: Answer, wanted: list[KnownRule], *, exactly: bool) -> Sample:
    """Return the fault unless the answer has these rules as they were sent."""
    if wrong := wrong_list(answer, 200):
        return wrong
    items = {item.get("id"): item for item in answer.body["items"]}
    if exactly and (len(items), answer.body["total"]) != (len(wanted), len(wanted)):
        return answer.fault(f"{len(items)} items, total {answer.body['total']}, instead of {len(wanted)}")
    for rule in wanted:
        for name, value in rule.body.items():
            if (item := items.get(rule.id, {})).get(name) != value:
                return answer.fault(f"{rule.name}: {name} is {item.get(name)!r} instead of {value!r}")
    return None


def _pages(
    known: Known, path: str, wanted: list[KnownRule], filters: Mapping[str, Any], without: list[KnownRule] | None = None
) -> Sample:
    """Read a list page by page; again when it is wrong, because others may have changed it."""
    wrong: Sample = None
    for _ in range(_TRIES):
        if (wrong := _read(known, path, wanted, filters, without or [])) is None:
            return None
        time.sleep(_AGAIN_S)
    return wrong


def _read(
    known: Known, path: str, wanted: list[KnownRule], filters: Mapping[str, Any], without: list[KnownRule]
) -> Sample:
    first = known.get(path, **filters, limit=1)
    if wrong := wrong_list(first, 1):
        return wrong
    total = first.body["total"]
    if total > _MOST_ROWS:
        return None
    size, rows = max(1, min(200, math.ceil(total / _PAGES))), list[dict[str, Any]]()
    for offset in range(0, total + 1, size):
        page = known.get(path, **filters, limit=size, offset=offset)
        if wrong := wrong_list(page, size):
            return wrong
        rows += page.body["items"]
    return _wrong_rows(first, path, rows, total, wanted, without, dict(filters))


def _wrong_rows(
    answer: Answer,
    path: str,
    rows: list[dict[str, Any]],
    total: int,
    wanted: list[KnownRule],
    without: list[KnownRule],
    filters: dict[str, Any],
) -> Sample:
    what = f"with {filters}, page by page"
    identities = {tuple(row.get(name) for name in _IDENTITY[path]) for row in rows}
    if len(identities) < len(rows):
        return answer.fault(f"{what}: {len(rows) - len(identities)} of {len(rows)} rows are repeated")
    if len(rows) != total:
        return answer.fault(f"{what}: {len(rows)} rows, total is {total}")
    if path == VIOLATIONS and (late := _newer_below_older(rows)):
        return answer.fault(f"{what}: {late}")
    ids = {row.get("id" if path == CONFIG else "rule_id") for row in rows}
    if lost := [rule.name for rule in wanted if rule.id not in ids]:
        return answer.fault(f"{what}: lost {', '.join(lost)}")
    if kept := [rule.name for rule in without if rule.id in ids]:
        return answer.fault(f"{what}: includes {', '.join(kept)}")
    return None


def _newer_below_older(rows: list[dict[str, Any]]) -> Sample:
    """Return the fault where a violation is listed below an older one; `reports` judges times that are none."""
    times = [moment for row in rows if (moment := time_of(row.get("occurred_at"))) is not None]
    for above, below in pairwise(times):
        if above < below:
            return f"not newest first, {below.isoformat()} is below {above.isoformat()}"
    return None

"""Whether every place that reports a figure reports what was sent."""

import time
from collections.abc import Iterable, Iterator
from itertools import chain

from gaia_checks.errors import Inconclusive
from gaia_checks.model import NOT_CHECKED, Measurement, Target
from gaia_checks.probes.figures import live_figures, reports, steady_traffic
from gaia_checks.probes.figures.known_traffic import ADMITTED, Known, exceed, keep_within, prepared, remove, sent_in
from gaia_checks.probes.figures.lists import lists
from gaia_checks.probes.figures.live_figures import Live, Scraped
from gaia_checks.probes.websocket import connected
from gaia_checks.target.responses import METRICS
from gaia_checks.target.samples import Score, Watch

_HOW = {
    "refusals": "refusals with the promised body and headers",
    "usage": "limits whose usage is what was admitted",
    "violations": "refusals recorded once, with client, rule and time",
    "lists": "lists and filters, read page by page",
    "websocket": "figures of the WebSocket's messages",
    "counters": "counters of the metrics: one decision a request, none decreases",
    "analytics": "figures of the analytics that follow the requests",
}
_NO_COUNTERS = f"{NOT_CHECKED}no two answers of GET {METRICS} are known to be of one process"


def probe(target: Target, *, rate_per_s: float) -> list[Measurement]:
    """Send known requests under rules of its own, and compare all that is reported of them: `figures.*`.

    For some seconds they come at `rate_per_s`, which the target is to serve: no load is measured here. Its rules are
    removed. Raises Inconclusive when a request gets no answer, or a figure is not reported at all; TargetUnreachable
    without a server.
    """
    watch, measured = Watch(), dict[str, Score]()
    with prepared(target) as known, connected(target) as connection:
        live = Live(target, connection)
        live.first()
        _all_reported(known, live)
        started_s = time.monotonic()
        rate = list(steady_traffic.rate(known, target, rate_per_s))
        enabled, before = live_figures.enabled_rules(known), live_figures.scraped(known)
        _wait_until(started_s + reports.SUMMED_S)  # what was refused before is then in the analytics
        denied = reports.denied_so_far(known)
        keep_within(known, ADMITTED - 1)
        resets_at = reports.minute_resets_at(known)
        _exceed_each(known, denied)
        keep_within(known, 1)
        measured["refusals"] = _score(reports.refusals(known))
        measured["usage"] = _score(chain(reports.usage(known), reports.same_reset(known, resets_at)))
        measured["violations"] = _score(reports.violations(known))
        measured["lists"] = _score(lists(known))
        decided = live_figures.scraped(known)
        live.last()
        _wait_until(decided.at_s + reports.SUMMED_S)
        stored = list(steady_traffic.stored(known, decided))
        after = live_figures.scraped(known)
        measured["websocket"] = _score(chain(rate, live_figures.websocket(known, live, enabled, after)))
        measured["counters"] = _score(_counters(known, before, after))
        most = max(live_figures.denied(before, after), live.pushed)
        measured["analytics"] = _score(chain(stored, reports.analytics(known, denied, most)))
    how = f"; {sent_in(known)} requests were sent"
    return [_measured(watch, name, score, _HOW[name] + how) for name, score in measured.items()]


def _measured(watch: Watch, name: str, score: Score, how: str) -> Measurement:
    """Measure a score; counters have no samples where each answer of the metrics may be another process's."""
    if not score.tried:
        return watch.measurement(f"figures.{name}", 0, "count", 0, how, (_NO_COUNTERS,))
    return watch.counted(f"figures.{name}", score, how)


def _all_reported(known: Known, live: Live) -> None:
    """Raise Inconclusive where the server does not report all that is compared: then it is another server's way."""
    missing = [*live.not_in_stats(), *reports.not_in_analytics(known)]
    if missing:
        raise Inconclusive(f"figures that the server does not report cannot be compared: {', '.join(missing)}")


def _wait_until(moment_s: float) -> None:
    time.sleep(max(0.0, moment_s - time.monotonic()))


def _exceed_each(known: Known, denied: int) -> None:
    """Exceed one rule after the other, so that the figures are summed more than once."""
    for rule in known.refusing:
        exceed(known, rule)
        denied += rule.hits
        reports.until_denied(known, denied)


def _counters(known: Known, before: Scraped, after: Scraped) -> Iterator[str | None]:
    """Yield the fault of each counter: between the scrapes, after one more, and after a rule was removed."""
    again = live_figures.scraped(known)
    yield from live_figures.counters(before, after)
    yield from live_figures.counters(after, again)
    yield from live_figures.once_each(before, after)
    removed, *others = known.generous
    remove(known, removed)
    yield from live_figures.kept([*others, *known.refusing], again, live_figures.scraped(known))


def _score(samples: Iterable[str | None]) -> Score:
    score = Score()
    for sample in samples:
        score.add(sample)
    return score

"""Whether every place that reports a figure reports what was sent."""

import time
from collections.abc import Iterable
from itertools import chain

from gaia_checks.model import Measurement, Target
from gaia_checks.probes.figures import live_figures, reports
from gaia_checks.probes.figures.known_traffic import exceed, keep_within, prepared, sent_in
from gaia_checks.probes.figures.lists import lists
from gaia_checks.probes.figures.live_figures import Live
from gaia_checks.probes.websocket import connected
from gaia_checks.target.samples import Score, Watch

_HOW = {
    "refusals": "refusals with the promised body and headers",
    "usage": "limits whose usage is what was admitted",
    "violations": "refusals recorded once, with client, rule and time",
    "lists": "lists and filters, read page by page",
    "websocket": "figures of the WebSocket's messages",
    "counters": "counters of the metrics that did not go back",
    "analytics": "figures of the analytics that follow the requests",
}


def probe(target: Target) -> list[Measurement]:
    """Send known requests under rules of its own, and compare all that is reported of them: `figures.*`.

    Its rules are removed. Raises Inconclusive when a request gets no answer, TargetUnreachable without a server.
    """
    watch, measured = Watch(), dict[str, Score]()
    with prepared(target) as known, connected(target) as connection:
        live = Live(target, connection)
        live.first()
        before, enabled = live_figures.scraped(known), live_figures.enabled_rules(known)
        time.sleep(reports.SUMMED_S)  # what was refused before is then in the analytics
        denied = reports.denied_so_far(known)
        keep_within(known)
        for number, rule in enumerate(known.refusing, 1):
            exceed(known, rule)
            reports.until_denied(known, denied + number * rule.hits)  # so the figures are summed more than once
        measured["refusals"] = _score(reports.refusals(known))
        measured["usage"] = _score(reports.usage(known))
        measured["violations"] = _score(reports.violations(known))
        measured["lists"] = _score(lists(known))
        live.last()
        after = live_figures.scraped(known)
        measured["websocket"] = _score(live_figures.websocket(known, live, enabled, after))
        again = live_figures.scraped(known)
        back = chain(live_figures.counters(before, after), live_figures.counters(after, again))
        measured["counters"] = _score(back)
        most = max(live_figures.denied(before, after), live.pushed)
        measured["analytics"] = _score(reports.analytics(known, denied, most))
    how = f"; {sent_in(known)} requests were sent"
    return [watch.counted(f"figures.{name}", score, _HOW[name] + how) for name, score in measured.items()]


def _score(samples: Iterable[str | None]) -> Score:
    score = Score()
    for sample in samples:
        score.add(sample)
    return score

"""Whether /metrics changes with the traffic, and has all metrics of the shipped monitoring.

All requests use one connection, so that one of several server processes answers, as each counts for itself.
"""

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx

from gaia_checks.environment.project import ROOT
from gaia_checks.errors import TargetUnreachable
from gaia_checks.model import Measurement, Target
from gaia_checks.probes.monitoring.expected_increase import (
    SENT,
    ExpectedIncrease,
    Kind,
    Scrape,
    expected,
    invented_label,
    wrong_durations,
    wrong_time,
)
from gaia_checks.probes.monitoring.shipped_queries import Query, shipped, unresolved
from gaia_checks.target import addresses, prometheus_text, rules
from gaia_checks.target.client import client, key
from gaia_checks.target.responses import ALERTS, CONFIG, METRICS, Answer, wrong_list, wrong_status
from gaia_checks.target.samples import Score, Watch

FOLDER = ROOT / "docs" / "monitoring"

WITHIN_S = 2.0
"""A counter that increases later than that does not follow the traffic."""

_POLL_S = 0.05
_FIRING = "gaia_alerts_firing"


def probe(target: Target, folder: Path = FOLDER) -> list[Measurement]:
    """Measure `monitoring.metrics_readable`, `monitoring.metrics_moving` and `monitoring.queries_resolving`.

    Of several instances each is measured: Prometheus reads each, and a load balancer would mix their counters.

    Its rule carries the run id and is removed. Raises TargetUnreachable when nothing answers, and
    ConfigurationError when a file of `folder` cannot be read.
    """
    queries = shipped(folder)
    return [addresses.named(at, one) for at in addresses.each(target) for one in _measured(at, queries)]


def _measured(target: Target, queries: Sequence[Query]) -> list[Measurement]:
    watch = Watch()
    readable, moving, resolving = Score(), Score(), Score()
    with client(target) as http:
        last = _measure_increases(http, target, moving)
    for wrong in (last.wrong,) if last.wrong else last.exposition.faults():
        readable.add(wrong)
    for query in queries:
        resolving.add(unresolved(query, last.exposition))
    return [
        watch.counted("monitoring.metrics_readable", readable, f"families of GET {METRICS} with TYPE and HELP"),
        watch.counted("monitoring.metrics_moving", moving, "answers, and series that moved by what was sent or more"),
        watch.counted("monitoring.queries_resolving", resolving, "queries of alerts and dashboard that resolve"),
    ]


class _Connection:
    """Sends requests over one connection. After one without an answer it sends no more."""

    def __init__(self, http: httpx.Client) -> None:
        self._http = http
        self._no_answer = ""

    def __call__(self, method: str, path: str, **arguments: Any) -> Answer:
        """Send one request."""
        request = f"{method} {path}"
        if self._no_answer:
            return Answer(request, 0, text=f"not sent: {self._no_answer}")
        try:
            response = self._http.request(method, path, **arguments)
        except httpx.TransportError as error:
            self._no_answer = f"{request} got no answer: {type(error).__name__} {error}"
            return Answer(request, 0, text=f"{type(error).__name__} {error}")
        body = None
        with suppress(ValueError, RecursionError):
            body = response.json()
        return Answer(request, response.status_code, response.headers, response.text, body)

    def scrape(self) -> Scrape:
        """Read the metrics."""
        started_s = time.monotonic()
        answer = self("GET", METRICS)
        finished_s = time.monotonic()
        if wrong := wrong_status(answer, 200) or _wrong_media(answer):
            return Scrape(started_s, finished_s, wrong=wrong)
        try:
            return Scrape(started_s, finished_s, prometheus_text.read(answer.text))
        except ValueError as error:
            return Scrape(started_s, finished_s, wrong=answer.fault(str(error)))


def _wrong_media(answer: Answer) -> str | None:
    media = answer.headers.get("Content-Type", "").partition(";")[0].strip()
    return None if media == "text/plain" else answer.fault(f"content type {media!r} instead of text/plain")


def _measure_increases(http: httpx.Client, target: Target, moving: Score) -> Scrape:
    """Send requests, count the increases, and return the last scrape. Raises TargetUnreachable."""
    connection = _Connection(http)
    if not (health := connection("GET", "/health")).status:
        raise TargetUnreachable(f"{target.base_url}: {health.fault(health.text)}; is it running?")
    with _rule_in_force(http, connection, target) as made:
        moving.add(wrong_status(made, 201))
        before = connection.scrape()
        right = _send(connection, target, moving)
        first = connection.scrape()
        increases = expected(right, str(made.body.get("id")) if isinstance(made.body, dict) else "")
        last = _settled(connection, increases, before, first)
    moving.add(wrong_time(before, first))
    for increase in increases:
        moving.add(increase.missed(before, last))
    for sample in (*wrong_durations(right, before, last), invented_label(last), _wrong_alerts(connection, last)):
        moving.add(sample)
    return last


def _send(connection: _Connection, target: Target, moving: Score) -> Counter[Kind]:
    """Send the requests to count; return how many of each kind were answered correctly."""
    right: Counter[Kind] = Counter()
    for kind in SENT:
        headers = {"X-API-Key": _strict_key(target)} if kind.strictly else {}
        answers = [connection("GET", kind.path, headers=headers) for _ in range(kind.times)]
        wrong = [what for answer in answers if (what := wrong_status(answer, kind.status))]
        right[kind] = kind.times - len(wrong)
        moving.add(wrong[0] if wrong else None)
    return right


def _settled(connection: _Connection, increases: Sequence[ExpectedIncrease], before: Scrape, scrape: Scrape) -> Scrape:
    """Scrape until every counter has increased, as one may lag a little; return the last scrape."""
    deadline_s = scrape.finished_s + WITHIN_S
    while not scrape.wrong and scrape.finished_s < deadline_s and any(one.missed(before, scrape) for one in increases):
        time.sleep(_POLL_S)
        scrape = connection.scrape()
    return scrape


def _wrong_alerts(connection: _Connection, scrape: Scrape) -> str | None:
    """Compare the gauge of firing alerts with their list; again where they differ, as an alert may just have changed.

    A server without the list, or with several series of the gauge, is not judged.
    """
    deadline_s = time.monotonic() + 2 * WITHIN_S
    while True:
        listed = connection("GET", ALERTS, params={"state": "firing", "limit": 1})
        gauges = scrape.exposition.samples.get(_FIRING, ())
        if wrong_list(listed, 1) or len(gauges) != 1 or (gauges[0].value > 0) == (listed.body["total"] > 0):
            return None
        if time.monotonic() > deadline_s:
            return f"{_FIRING} is {gauges[0].value:g}, and GET {ALERTS} lists {listed.body['total']} that fire"
        time.sleep(_POLL_S)
        scrape = connection.scrape()


# The temporary rule ----------------------------------------------------------------------------


@contextmanager
def _rule_in_force(http: httpx.Client, connection: _Connection, target: Target) -> Iterator[Answer]:
    """Create a rule that limits a key of this run to one request a minute; remove it at the end."""
    name = _strict_key(target)
    try:
        yield connection("POST", CONFIG, json=rules.for_one_key(name, "requests_per_minute", 1))
    finally:
        with suppress(httpx.HTTPError, ValueError):  # the gate removes it later, by its name
            rules.remove(http, name)


def _strict_key(target: Target) -> str:
    return f"{key(target)}-monitoring"

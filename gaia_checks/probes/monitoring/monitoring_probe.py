"""Whether /metrics moves with what happens, and has what the monitoring that we ship asks for.

Everything is sent over one connection, so that of several server processes, which count each for itself, one answers.
"""

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx

from gaia_checks.environment import ROOT
from gaia_checks.errors import TargetUnreachable
from gaia_checks.model import Measurement, Target
from gaia_checks.probes.monitoring.expected_increase import SENT, Growth, Kind, Scrape, expected, wrong_time
from gaia_checks.probes.monitoring.shipped_queries import shipped, unresolved
from gaia_checks.target import prometheus_text, rules
from gaia_checks.target.client import client, key
from gaia_checks.target.responses import CONFIG, Answer, wrong_status
from gaia_checks.target.samples import Tally, Watch

PATH = "/metrics"
FOLDER = ROOT / "docs" / "monitoring"

WITHIN_S = 2.0
"""What is counted later than that does not move with what happens."""

_POLL_S = 0.05


def probe(target: Target, folder: Path = FOLDER) -> list[Measurement]:
    """Measure `monitoring.metrics_readable`, `monitoring.metrics_moving` and `monitoring.queries_resolving`.

    What it creates carries the run id and is removed. Raises TargetUnreachable when nothing answers, and
    ConfigurationError when a file of `folder` cannot be read.
    """
    watch, queries = Watch(), shipped(folder)
    readable, moving, resolving = Tally(), Tally(), Tally()
    with client(target) as http:
        last = _move(http, target, moving)
    for wrong in (last.wrong,) if last.wrong else last.said.faults():
        readable.add(wrong)
    for query in queries:
        resolving.add(unresolved(query, last.said))
    return [
        watch.counted("monitoring.metrics_readable", readable, f"families of GET {PATH} with TYPE and HELP"),
        watch.counted("monitoring.metrics_moving", moving, "answers, and series that moved by what was sent or more"),
        watch.counted(
            "monitoring.queries_resolving", resolving, "queries of alerts and dashboard that find what is asked"
        ),
    ]


class _Asking:
    """Sends requests over one connection. Once one gets no answer, no more are sent."""

    def __init__(self, http: httpx.Client) -> None:
        self._http = http
        self._silent = ""

    def __call__(self, method: str, path: str, **arguments: Any) -> Answer:
        """Send one request."""
        request = f"{method} {path}"
        if self._silent:
            return Answer(request, 0, text=f"not sent: {self._silent}")
        try:
            response = self._http.request(method, path, **arguments)
        except httpx.TransportError as error:
            self._silent = f"{request} got no answer: {type(error).__name__} {error}"
            return Answer(request, 0, text=f"{type(error).__name__} {error}")
        body = None
        with suppress(ValueError, RecursionError):
            body = response.json()
        return Answer(request, response.status_code, response.headers, response.text, body)

    def scrape(self) -> Scrape:
        """Read the metrics."""
        began_s = time.monotonic()
        answer = self("GET", PATH)
        ended_s = time.monotonic()
        if wrong := wrong_status(answer, 200) or _wrong_media(answer):
            return Scrape(began_s, ended_s, wrong=wrong)
        try:
            return Scrape(began_s, ended_s, prometheus_text.read(answer.text))
        except ValueError as error:
            return Scrape(began_s, ended_s, wrong=answer.says(str(error)))


def _wrong_media(answer: Answer) -> str | None:
    media = answer.headers.get("Content-Type", "").partition(";")[0].strip()
    return None if media == "text/plain" else answer.says(f"content type {media!r} instead of text/plain")


def _move(http: httpx.Client, target: Target, moving: Tally) -> Scrape:
    """Send requests, count what moved with them, and return the last scrape. Raises TargetUnreachable."""
    ask = _Asking(http)
    if not (health := ask("GET", "/health")).status:
        raise TargetUnreachable(f"{target.base_url}: {health.says(health.text)}; is it running?")
    with _ruled(http, ask, target) as made:
        moving.add(wrong_status(made, 201))
        before = ask.scrape()
        right = _send(ask, target, moving)
        first = ask.scrape()
        growths = expected(right, str(made.body.get("id")) if isinstance(made.body, dict) else "")
        last = _settled(ask, growths, before, first)
    moving.add(wrong_time(before, first))
    for growth in growths:
        moving.add(growth.missed(before, last))
    return last


def _send(ask: _Asking, target: Target, moving: Tally) -> Counter[Kind]:
    """Send what is to be counted; return how many of each kind were answered as they should be."""
    right: Counter[Kind] = Counter()
    for kind in SENT:
        headers = {"X-API-Key": _strict_key(target)} if kind.strictly else {}
        answers = [ask("GET", kind.path, headers=headers) for _ in range(kind.times)]
        wrong = [what for answer in answers if (what := wrong_status(answer, kind.status))]
        right[kind] = kind.times - len(wrong)
        moving.add(wrong[0] if wrong else None)
    return right


def _settled(ask: _Asking, growths: Sequence[Growth], before: Scrape, scrape: Scrape) -> Scrape:
    """Scrape until everything has grown, as a counter may lag a little; return the last scrape."""
    deadline_s = scrape.ended_s + WITHIN_S
    while not scrape.wrong and scrape.ended_s < deadline_s and any(one.missed(before, scrape) for one in growths):
        time.sleep(_POLL_S)
        scrape = ask.scrape()
    return scrape


# The rule that refuses ---------------------------------------------------------------------------


@contextmanager
def _ruled(http: httpx.Client, ask: _Asking, target: Target) -> Iterator[Answer]:
    """Have a rule in force by which a key of this run may ask once a minute."""
    name = _strict_key(target)
    try:
        yield ask("POST", CONFIG, json=rules.for_one_key(name, "requests_per_minute", 1))
    finally:
        with suppress(httpx.HTTPError, ValueError):  # what remains the gate removes, by its name
            for identity in rules.named(http, name):
                http.delete(f"{CONFIG}/{identity}")


def _strict_key(target: Target) -> str:
    return f"{key(target)}-monitoring"

"""Whether every request for /health is answered healthy."""

import time

import httpx

from gaia_checks.errors import TargetUnreachable
from gaia_checks.model import Measurement, Target
from gaia_checks.target.client import client
from gaia_checks.target.health_body import PATH, checks, database_connected, read
from gaia_checks.target.samples import Score, Watch

NO_CACHE = {"Cache-Control": "no-cache"}  # a cached answer of a proxy says nothing about the server
_MOST_UNANSWERED = 3  # requests in a row without an answer, after which no more are sent


def probe(target: Target, *, requests: float, spacing_s: float) -> list[Measurement]:
    """Send `requests` requests, `spacing_s` apart, and count the right answers: `health.good`.

    A server that accepts connections and does not answer is measured as wrong, after the first request if it has never
    answered. Raises TargetUnreachable when the first attempts get no connection.
    """
    watch, tally, answered, unanswered = Watch(), Score(), False, 0
    with client(target) as http:
        for number in range(int(requests)):
            time.sleep(max(0.0, number * spacing_s - watch.elapsed_s()))
            try:
                response = http.get(PATH, headers=NO_CACHE)
            except httpx.TransportError as error:
                tally.add(f"request {number + 1}: no answer: {type(error).__name__} {error}")
                if not answered and isinstance(error, httpx.ReadTimeout):
                    break
                unanswered += 1
                if unanswered < min(_MOST_UNANSWERED, requests):
                    continue
                if not answered and isinstance(error, (httpx.ConnectError, httpx.ConnectTimeout)):
                    raise TargetUnreachable(
                        f"{target.base_url}: no answer to GET {PATH} ({error}); is it running?"
                    ) from error
                break
            answered, unanswered = True, 0
            wrong = wrong_with(response)
            tally.add(f"request {number + 1}: {wrong}" if wrong else None)
    return [watch.counted("health.good", tally, f"GET {PATH}, {spacing_s:g} s apart")]


def wrong_with(response: httpx.Response) -> str | None:
    """Return the fault of an answer of /health; None when it keeps the contract."""
    if response.status_code != 200:
        hint = "; if it is elsewhere, map it in [contract.paths]" if response.status_code == 404 else ""
        return f"status {response.status_code} instead of 200{hint}"
    content_type = response.headers.get("Content-Type", "")
    if content_type.partition(";")[0].strip() != "application/json":
        return f"content type {content_type!r} instead of application/json"
    body = read(response)
    if body.get("status") != "healthy":
        return f"status is {body.get('status')!r} instead of 'healthy'"
    for name in ("version", "digest"):
        if not isinstance(body.get(name), str) or not body[name]:
            return f"{name} is {body.get(name)!r}, not a text"
    if not database_connected(body):
        return f"checks.database is {checks(body).get('database')!r}, not connected"
    return None

"""The start page: an example of a criterion of our own."""

import time

import httpx
import pytest

from gaia_checks.suite import Look, Measurement, Score, Target, Watch, client

PAGE = "/"


def read_page(target: Target, *, requests: float) -> list[Measurement]:
    """Request the page; measure, and leave every threshold to criteria.toml."""
    watch, answered, slowest_ms = Watch(), Score(), 0.0
    with client(target) as http:
        for _ in range(int(requests)):
            started_s = time.monotonic()
            try:
                status = http.get(PAGE).status_code
            except httpx.TransportError as error:
                answered.add(f"no answer: {error!r}")
            else:
                answered.add(f"status {status}" if status >= 500 else None)
            slowest_ms = max(slowest_ms, 1000 * (time.monotonic() - started_s))
    return [
        watch.counted("start_page.answered", answered, f"GET {PAGE}"),
        watch.measurement("start_page.slowest", slowest_ms, "ms", answered.tried, f"the slowest GET {PAGE}"),
    ]


@pytest.mark.criterion("dev.start_page")
def test_start_page(look: Look) -> None:
    """Judged by criteria.toml."""
    look(read_page)

"""A temporary rule of this run, and requests that it refuses."""

import contextlib
import time
from collections.abc import Iterator

import httpx

from gaia_checks.model import Target
from gaia_checks.target import client, rules
from gaia_checks.target.responses import CONFIG

_REFUSED_WITHIN_S = 3.0  # by then a rule is in force on all processes of the server
_RETRY_S = 0.1
_APART_S = 1.1  # refusals within one second become one violation


class OwnRule:
    """Allows one request a minute for a key of this run. `http` sends as this run."""

    def __init__(self, target: Target, http: httpx.Client, purpose: str) -> None:
        self.name = f"{client.key(target)}-{purpose}"  # of the rule, and of its key
        self._http = http
        self._refused_s = 0.0

    def make(self) -> None:
        """Create the rule, unless it exists."""
        if not rules.named(self._http, self.name):
            self._http.post(CONFIG, json=rules.for_one_key(self.name, "requests_per_minute", 1))

    def be_refused(self) -> str | None:
        """Send requests until one is refused, at least a second after the last refusal; return why none is."""
        time.sleep(max(0.0, self._refused_s + _APART_S - time.monotonic()))
        status, deadline_s = 0, time.monotonic() + _REFUSED_WITHIN_S
        while time.monotonic() < deadline_s:
            status = self._http.get(CONFIG, params={"limit": 1}, headers={"X-API-Key": self.name}).status_code
            if status == 429:
                self._refused_s = time.monotonic()
                return None
            time.sleep(_RETRY_S)
        return (
            f"a key limited to one request a minute was not refused, but answered {status}; is RATE_LIMIT_ENABLED true?"
        )

    def remove(self) -> None:
        """Remove the rule if it exists; its counts and refusals are deleted with it."""
        rules.remove(self._http, self.name)


@contextlib.contextmanager
def own_rule(target: Target, http: httpx.Client, purpose: str) -> Iterator[OwnRule]:
    """Yield a rule that may be created, here or on the page; remove it at the end."""
    rule = OwnRule(target, http, purpose)
    try:
        yield rule
    finally:
        with contextlib.suppress(httpx.HTTPError, ValueError):  # the gate removes it later, by its name
            rule.remove()

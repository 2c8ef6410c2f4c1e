"""Whether forged credentials are refused, and how many of them one address may send without locking others out.

The server trusts the gate as a proxy, so that each trial has an address of its own: on a live target, so many wrong
tokens would keep administrators out. A trial decides only if it finished before the server compares a token of its
address again; on a machine that was too slow for that, it is repeated.
"""

import itertools
import secrets
import time
from collections.abc import Callable, Iterator, Mapping

import httpx

from gaia_checks.errors import Inconclusive
from gaia_checks.model import Target
from gaia_checks.probes.access import forged_sessions, handshakes
from gaia_checks.probes.fresh_install.fresh_servers import FORWARDED, Installation, Sample, nobody, unless
from gaia_checks.target.client import authorization
from gaia_checks.target.responses import CONFIG, LOGIN

AT_ONCE = 10
"""Wrong tokens of one address that are compared at once (docs/contract.md, Access)."""

INTERVAL_S = 6.0
"""Afterwards one more is compared each time that so long has passed."""

_WRONG, _NOT_COMPARED = 401, 429
_TRIES = 4

Requests = Mapping[str, Callable[[str], httpx.Response]]
"""What a request carries -> sends it from an address."""


def samples(installed: Installation) -> Iterator[Sample]:
    """Yield one sample for each forged credential, then for each request of an address that sent too many wrong ones.

    Raises Inconclusive when this machine was too slow each time.
    """
    with nobody(installed.behind_proxy) as http:
        clients = _Clients(http, installed.behind_proxy)
        yield from clients.forged()
        yield from clients.limited()
        yield from clients.known()


class _Clients:
    """Clients of one proxy, each at an address of its own."""

    def __init__(self, http: httpx.Client, target: Target) -> None:
        self._http, self._target = http, target
        self._addresses = (f"203.0.113.{number}" for number in itertools.count(1))
        login = http.post(LOGIN, json={"token": target.admin_token}, headers={FORWARDED: next(self._addresses)})
        http.cookies.clear()
        self._cookie, _, self._session = login.headers.get("Set-Cookie", "").partition(";")[0].partition("=")

    def forged(self) -> Iterator[Sample]:
        """Yield one sample for each credential that is nearly right."""
        token = self._target.admin_token or ""
        sessions = {"an altered session": forged_sessions.altered(self._session)}
        sessions |= forged_sessions.shortened(self._session)
        forged = {"a longer token": self._bearer(f"{token}x"), "a shorter token": self._bearer(token[:-1])}
        forged |= {what: self._with_session(value) for what, value in sessions.items() if self._session}
        for what, send in forged.items():
            yield _wrong(send(next(self._addresses)), _WRONG, what)

    def limited(self) -> Iterator[Sample]:
        """Yield what becomes of an address that sends wrong tokens, and of another one."""
        for _ in range(_TRIES):
            started_s = time.monotonic()
            found = list(self._exhausting(next(self._addresses)))
            if time.monotonic() - started_s < INTERVAL_S:
                yield from found
                return
        raise Inconclusive(f"a few requests took more than {INTERVAL_S:g} s each time: this machine is too busy")

    def known(self) -> Iterator[Sample]:
        """Yield whether an address that has sent the right token may always send it."""
        address, wrong = next(self._addresses), itertools.cycle(self._guesses().values())
        yield _wrong(self._bearer(self._target.admin_token or "")(address), 200, "the right token")
        for send in itertools.islice(wrong, AT_ONCE + len(self._guesses())):
            send(address)
        for what, send in self._right().items():
            status = send(address).status_code
            yield unless(
                status in (200, 204),
                f"{what} is answered {status} at an address that had sent the right token before wrong ones",
            )

    def _exhausting(self, address: str) -> Iterator[Sample]:
        """Yield the answers to a few wrong tokens of an address, and to what it sends afterwards."""
        guesses = self._guesses()
        for what, send in itertools.islice(itertools.cycle(guesses.items()), AT_ONCE):
            yield _wrong(send(address), _WRONG, what)
        for what, send in {**guesses, **self._right()}.items():
            answer = send(address)
            yield _wrong(answer, _NOT_COMPARED, f"{what}, after {AT_ONCE} wrong ones of its address,")
            if answer.status_code == _NOT_COMPARED:
                waits = answer.headers.get("Retry-After", "")
                yield unless(waits.isdecimal(), f"{what} is answered {_NOT_COMPARED} with Retry-After {waits!r}")
        right = authorization(self._target)
        yield handshakes.accepted(
            self._target, f"after {AT_ONCE} wrong tokens of its address", {**right, FORWARDED: address}, {}
        )
        yield _wrong(
            self._bearer(self._target.admin_token or "")(next(self._addresses)), 200, "another address's token"
        )

    def _guesses(self) -> Requests:
        """Return requests with something that is wrong: the server counts them together."""
        found = {"a wrong token": self._bearer(secrets.token_hex(16))}
        if self._session:
            found["an altered session"] = self._with_session(forged_sessions.altered(self._session))
            found["a login with a wrong token"] = self._login(secrets.token_hex(16))
        return found

    def _right(self) -> Requests:
        """Return an administrator's requests."""
        found = {"the right token": self._bearer(self._target.admin_token or "")}
        if self._session:
            found["a right session"] = self._with_session(self._session)
            found["a login with the right token"] = self._login(self._target.admin_token or "")
        return found

    def _bearer(self, token: str) -> Callable[[str], httpx.Response]:
        return lambda address: self._get(address, {"Authorization": f"Bearer {token}"})

    def _with_session(self, value: str) -> Callable[[str], httpx.Response]:
        return lambda address: self._get(address, {"Cookie": f"{self._cookie}={value}"})

    def _login(self, token: str) -> Callable[[str], httpx.Response]:
        return lambda address: self._sent("POST", LOGIN, {FORWARDED: address}, json={"token": token})

    def _get(self, address: str, headers: Mapping[str, str]) -> httpx.Response:
        return self._sent("GET", CONFIG, {**headers, FORWARDED: address})

    def _sent(self, method: str, path: str, headers: Mapping[str, str], **arguments: object) -> httpx.Response:
        answer = self._http.request(method, path, headers=headers, **arguments)  # type: ignore[arg-type] # httpx's own
        self._http.cookies.clear()
        return answer


def _wrong(answer: httpx.Response, status: int, what: str) -> Sample:
    return unless(answer.status_code == status, f"{what} is answered with status {answer.status_code}, not {status}")

"""Whether everybody but administrators is refused: every method of every route, and the WebSocket.

It is safe on a live server: what writes is aimed at a rule and a user of this run. Wrong tokens are few, because a
server limits them for each address, and the gate's address may have other users.
"""

import contextlib
import json
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import httpx

from gaia_checks.environment.environment import is_loopback
from gaia_checks.errors import TargetUnreachable
from gaia_checks.model import NOT_CHECKED, Measurement, Target
from gaia_checks.probes.access import forged_sessions, handshakes
from gaia_checks.probes.access.admin_routes import (
    NOT_FOUND,
    PUBLIC,
    REPUTATION,
    RULE,
    USER,
    AdminRequest,
    Own,
    requests,
    respelled,
)
from gaia_checks.target import rules
from gaia_checks.target.client import client, key
from gaia_checks.target.responses import CONFIG, LOGIN
from gaia_checks.target.samples import Score, Watch

_PATIENCE_S = 30.0
_NO_LIMITS_OF_USERS = (400, 422)  # a server whose rules have no such scope
_ELSEWHERE = "elsewhere.test"
_STATUS = "status "
_BUDGETED = 429  # also refuses a wrong token: too many came from this address


@dataclass(frozen=True, slots=True)
class Credential:
    """What a request carries that makes nobody an administrator."""

    name: str
    headers: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)


_FREE = (
    Credential("without a token"),
    Credential("with an empty token", {"Authorization": "Bearer"}),
    Credential("with an empty session", {"Cookie": "gaia_session="}),
    Credential(
        "from a claimed 127.0.0.1 as admin",
        {"X-Forwarded-For": "127.0.0.1", "X-Real-IP": "127.0.0.1", "Forwarded": "for=127.0.0.1", "X-User-ID": "admin"},
    ),
)
"""No token: a server need not compare anything, so it may be sent as often as there are routes."""


def probe(target: Target) -> list[Measurement]:
    """Measure `access.refused`, `access.handshakes_refused`, `access.public_answers` and `access.unchanged`.

    Raises TargetUnreachable when the target does not answer, or does not create the rules to aim at.
    """
    watch = Watch()
    try:
        with client(target) as admin, client(replace(target, admin_token=None)) as nobody, _aimed(admin, target) as own:
            return _measured(watch, _Look(target, admin, nobody, own))
    except httpx.TransportError as error:
        why = str(error) or type(error).__name__
        raise TargetUnreachable(f"{target.base_url}: no answer ({why}); is it running?") from error


def _measured(watch: Watch, look: "_Look") -> list[Measurement]:
    before = look.state()
    refused, opened, public = Score(), Score(), Score()
    for sample in look.requests():
        refused.add(sample)
    for sample in look.handshakes():
        opened.add(sample)
    for sample in look.public():
        public.add(sample)
    return [
        watch.counted("access.refused", refused, "requests to admin routes, none of an administrator"),
        watch.counted("access.handshakes_refused", opened, "WebSocket handshakes, none of an administrator"),
        watch.counted("access.public_answers", public, "public routes, without a token, and the login's cookie"),
        _unchanged(watch, before, look.state(), refused.tried),
    ]


def _unchanged(watch: Watch, before: Mapping[str, str], after: Mapping[str, str], sent: int) -> Measurement:
    """Compare what `sent` requests were aimed at, before and after; without samples where it could not be read."""
    how = "the rules, the user's limits and the reputation at which refused requests were aimed, before and after"
    changed = [f"after refused requests, {what} is {now}" for what, now in after.items() if now != before[what]]
    unread = [f"{NOT_CHECKED}{what} is answered with {now}" for what, now in before.items() if _is_unread(what, now)]
    if unread and not changed:
        return watch.measurement("access.unchanged", 0, "bool", 0, how, unread)
    return watch.measurement("access.unchanged", not changed, "bool", sent, how, changed)


def _is_unread(what: str, found: str) -> bool:
    """Whether something is aimed at that cannot be read; a server may have neither limits of users nor reputations."""
    if not found.startswith(_STATUS):
        return False
    there = what in (f"GET {CONFIG}", f"GET {RULE}")
    return there or int(found.removeprefix(_STATUS)) not in (*NOT_FOUND, *_NO_LIMITS_OF_USERS)


class _Look:
    """The requests of one look, and what they may change."""

    def __init__(self, target: Target, admin: httpx.Client, nobody: httpx.Client, own: Own) -> None:
        self._target, self._admin, self._nobody, self._own = target, admin, nobody, own
        self._patience = rules.Patience(_PATIENCE_S)
        self._requests = requests(_document(nobody), own)
        self._token = target.admin_token or ""
        self._cookie = self._login()
        self._session = self._cookie.partition(";")[0].strip()
        self._foreign = _foreign(target.base_url)

    def requests(self) -> Iterator[str | None]:
        """Yield one sample for each request that must be refused."""
        for credential in _FREE:
            yield from (self._sample(request, credential) for request in self._requests)
        yield from (self._sample(request, _FREE[0]) for request in respelled(self._own))
        yield from (self._sample(request, each) for each in self._in_url() for request in self._requests)
        yield from (self._sample(request, each, budgeted=True) for request, each in self._wrong())
        writes = sorted((each for each in self._requests if each.writes), key=lambda each: each.path != CONFIG)
        for number, credential in enumerate(self._from_elsewhere()):
            yield from (self._sample(request, credential) for request in (writes if number < 2 else writes[:1]))
        yield from self._logins()

    def handshakes(self) -> Iterator[str | None]:
        """Yield one sample for each WebSocket handshake that must be refused."""
        wrong = [Credential("with a wrong token", {"Authorization": f"Bearer {secrets.token_hex(16)}"})]
        stale = self._sessions()[1:]
        for each in (*_FREE, *self._in_url(), *wrong, *stale, *self._from_elsewhere()):
            yield handshakes.accepted(self._target, each.name, each.headers, each.query)

    def public(self) -> Iterator[str | None]:
        """Yield one sample for each route that everybody may read, and one for the cookie that a login sets.

        A route that does not exist is hidden from nobody.
        """
        for path in PUBLIC:
            status = self._send(AdminRequest("GET", path), _FREE[0]).status_code
            missing = status in NOT_FOUND and self._admin.get(path).status_code == status
            good = missing or status in (200, 503)
            yield None if good else f"GET {path} without a token: status {status}, should be public"
        if self._cookie:
            yield forged_sessions.stealable(self._cookie)

    def state(self) -> dict[str, str]:
        """Return what the requests are aimed at, by name; the reputation is the user's. Unread, it is the status."""
        found = {}
        for path in (CONFIG, RULE, USER, REPUTATION):
            query = {"rule_name": f"{self._own.rule['rule_name']}-new"} if path == CONFIG else {}
            there = path.replace("{id}", str(self._own.rule_id)).replace("{user}", self._own.user)
            answer = rules.send(self._admin, "GET", there, params=query, patience=self._patience)
            found[f"GET {path}"] = (
                self._own_part(answer) if answer.status_code == 200 else f"{_STATUS}{answer.status_code}"
            )
        return found

    def _own_part(self, answer: httpx.Response) -> str:
        """Return an answer without rules that others made for every user: they come and go."""
        try:
            body = answer.json()
            body["limits"] = [each for each in body["limits"] if each.get("rule_id") == self._own.rule_id]
        except (ValueError, TypeError, KeyError, AttributeError):
            return answer.text
        return json.dumps(body)

    def _sample(self, request: AdminRequest, credential: Credential, *, budgeted: bool = False) -> str | None:
        answer = self._send(request, credential, budgeted=budgeted)
        status, sent = answer.status_code, credential.headers.get("Authorization", "").partition(" ")[2]
        if status in request.refusals or (budgeted and status == _BUDGETED):
            repeats = f"{request.method} {request.path} {credential.name}: its refusal repeats the token"
            return repeats if len(sent) > 1 and sent in answer.text else None
        should = " or ".join(map(str, request.refusals[:2]))
        return f"{request.method} {request.path} {credential.name}: status {status}, should be {should}"

    def _send(self, request: AdminRequest, credential: Credential, *, budgeted: bool = False) -> httpx.Response:
        """Return the answer; the server's limits apply to the gate as well, so a 429 is sent again."""
        patience = rules.Patience(0) if budgeted else self._patience
        arguments = {"json": request.body} if request.body is not None else {}
        return rules.send(
            self._nobody, request.method, request.path, patience=patience,
            params=credential.query or None, headers=credential.headers, **arguments,
        )  # fmt: skip

    def _in_url(self) -> Iterator[Credential]:
        """Yield the token in a URL, where none but this machine may log it."""
        if self._token and is_loopback(httpx.URL(self._target.base_url).host):
            yield Credential("with the token in its URL", query={"token": self._token, "access_token": self._token})

    def _wrong(self) -> Iterator[tuple[AdminRequest, Credential]]:
        """Yield a few requests with a credential that a server compares: it limits how many there may be."""
        own = {each.method: each for each in self._requests if each.path == f"{CONFIG}/{self._own.rule_id}"}
        tokens = (self._token[:1] or "x", f"{self._token}x", secrets.token_hex(16))
        for method, token in zip(("GET", "PUT", "DELETE"), tokens, strict=True):
            yield own[method], Credential("with a wrong token", {"Authorization": f"Bearer {token}"})
        yield from ((own["PUT"], each) for each in self._sessions())

    def _sessions(self) -> list[Credential]:
        if not self._session:
            return []
        name, _, value = self._session.partition("=")
        forged = {"an altered session": forged_sessions.altered(value)}
        if stale := forged_sessions.expired(value, self._token):
            forged["an expired session"] = stale
        return [Credential(f"with {what}", {"Cookie": f"{name}={cookie}"}) for what, cookie in forged.items()]

    def _from_elsewhere(self) -> Iterator[Credential]:
        """Yield right credentials that another site's page makes a browser send."""
        bearer = {"Authorization": f"Bearer {self._token}"} if self._token else {}
        for origin in self._foreign:
            if self._session:
                yield Credential(f"with a session, from {origin}", {"Cookie": self._session, "Origin": origin})
            if bearer:
                yield Credential(f"with the token, from {origin}", {**bearer, "Origin": origin})
        if bearer and self._target.trusted_proxies == "":
            name = f"with the token, from {_ELSEWHERE}, which it claims to be the forwarded host"
            yield Credential(name, {**bearer, "Origin": f"https://{_ELSEWHERE}", "X-Forwarded-Host": _ELSEWHERE})

    def _logins(self) -> Iterator[str | None]:
        """Yield logins that must fail: a wrong token, and the right one from another site. A server may have none."""
        refusals = (401, 403, *NOT_FOUND)
        wrong = AdminRequest("POST", LOGIN, {"token": secrets.token_hex(16)}, refusals)
        yield self._sample(wrong, Credential("with a wrong token"), budgeted=True)
        if self._token:
            right = AdminRequest("POST", LOGIN, {"token": self._token}, refusals)
            yield self._sample(right, Credential("from another site", {"Origin": self._foreign[0]}))

    def _login(self) -> str:
        """Return the cookie that a login sets, with its attributes; empty without one."""
        if not self._token:
            return ""
        answer = rules.send(self._nobody, "POST", LOGIN, json={"token": self._token}, patience=self._patience)
        self._nobody.cookies.clear()
        return str(answer.headers.get("Set-Cookie", ""))


@contextlib.contextmanager
def _aimed(admin: httpx.Client, target: Target) -> Iterator[Own]:
    """Create a rule and a user's limit of this run for the requests to aim at; remove all that they may have made."""
    name, user = f"{key(target)}-access", f"{key(target)}-access-user"
    rule = rules.for_one_key(name, "requests_per_hour", 1_000_000)
    limit = {**rule, "rule_name": user, "scope": "user", "scope_value": user}
    try:
        created, limited = (rules.send(admin, "POST", CONFIG, json=body) for body in (rule, limit))
        for answer, statuses in ((created, (201,)), (limited, (201, *_NO_LIMITS_OF_USERS))):
            if answer.status_code not in statuses:
                raise TargetUnreachable(
                    f"{target.base_url}: POST {CONFIG} answered {answer.status_code} instead of 201, so there is "
                    "nothing to aim refused requests at; check ADMIN_TOKEN"
                )
        yield Own(rule, created.json()["id"], user)
    finally:
        for path in (USER, REPUTATION):
            with contextlib.suppress(httpx.HTTPError):
                rules.send(admin, "DELETE", path.replace("{user}", user))
        for each in (name, f"{name}-new", user):
            with contextlib.suppress(httpx.HTTPError, ValueError):
                rules.remove(admin, each)


def _document(http: httpx.Client) -> Any:
    try:
        return http.get("/openapi.json").json()
    except ValueError:
        return None


def _foreign(base_url: str) -> tuple[str, ...]:
    """Return origins of other sites: one begins like the target's own, one ends like it, one has another port."""
    url = httpx.URL(base_url)
    host, netloc = url.netloc.decode().removesuffix(f":{url.port}"), url.netloc.decode()
    alike = (f"{host}.{_ELSEWHERE}", f"elsewhere-{netloc}", f"{host}:1")
    return f"https://{_ELSEWHERE}", "null", *(f"{url.scheme}://{each}" for each in alike)

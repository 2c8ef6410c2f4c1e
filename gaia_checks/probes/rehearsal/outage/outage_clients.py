"""Clients that send without a pause through an outage, and the judgement of each answer by the contract."""

import threading
import time
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import httpx

from gaia_checks.model import Target
from gaia_checks.target.client import client
from gaia_checks.target.responses import QUOTAS

ADMITTED, REFUSED, UNDECIDED = 404, 429, 503
"""The path does not exist, so an admitted request needs no database for its answer."""

PATH = f"{QUOTAS}/gaia-outage"

_DENYING = f"should be answered {UNDECIDED} (RATE_LIMIT_ON_DB_DOWN=deny)"
_CLIENTS = 2  # for each server
_PAUSE_S = 0.05
_ANSWER_S = 30.0  # a server gives up its database after about 2 s; a slow machine explains no more than this
_LATEST = 50


@dataclass(frozen=True, slots=True)
class OutageReply:
    """One answer, with the times of its request."""

    sent_s: float
    received_s: float
    status: int  # 0: no answer
    retry_after: str | None = None
    has_limits: bool = False  # the RateLimit header
    error: str = ""

    @property
    def wrong(self) -> str | None:
        """What no request may be answered, whether the database is there or not."""
        if self.status == 0:
            return f"no answer ({self.error})"
        if self.status not in (ADMITTED, REFUSED, UNDECIDED):
            return f"answered {self.status} instead of {UNDECIDED}"
        if self.status == UNDECIDED and not (self.retry_after or "").isdecimal():
            return f"answered {UNDECIDED} with Retry-After {self.retry_after!r}, should be seconds"
        return None


@dataclass(slots=True)
class Away:
    """From when to when the database was certainly away, on the monotonic clock."""

    starts_s: float = float("inf")
    ends_s: float = float("inf")

    def includes(self, reply: OutageReply) -> bool:
        """Whether the database was away all the time while the request was processed."""
        return self.starts_s < reply.sent_s and reply.received_s < self.ends_s


class OutageClients:
    """Sends requests under one key to one server, several at once, from the start of the block to its end."""

    def __init__(self, target: Target, key: str, *, allows: bool) -> None:
        self._target = target
        self._key = key
        self._allows = allows  # RATE_LIMIT_ON_DB_DOWN is "allow"
        self._stopping = threading.Event()
        self._threads = [threading.Thread(target=self._send_all, daemon=True) for _ in range(_CLIENTS)]
        self.replies: list[OutageReply] = []

    def __enter__(self) -> Self:
        """Start."""
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop, and wait for the last answers."""
        self._stopping.set()
        for thread in self._threads:
            thread.join()

    def answered_since(self, since_s: float, *statuses: int) -> bool:
        """Whether a request that was sent later was answered with one of these."""
        return any(reply.sent_s > since_s and reply.status in statuses for reply in self.replies[-_LATEST:])

    def in_turn_since(self, since_s: float) -> int:
        """Return how many requests, each sent after the answer to the one before, were answered."""
        number = 0
        for reply in list(self.replies):  # in the order of the answers
            if reply.sent_s > since_s:
                number, since_s = number + 1, reply.received_s
        return number

    def wrong(self, reply: OutageReply, away: Away) -> str | None:
        """Return what is wrong with an answer, given when the database was away."""
        if reply.wrong:
            return reply.wrong
        if not self._allows and reply.status == ADMITTED and not reply.has_limits:
            return f"a request passed undecided, without RateLimit headers, {_DENYING}"
        return self._wrong_without_database(reply) if away.includes(reply) else None

    def _wrong_without_database(self, reply: OutageReply) -> str | None:
        expected, setting = (ADMITTED, "allow") if self._allows else (UNDECIDED, "deny")
        if reply.status != expected:
            done = "passed" if reply.status == ADMITTED else f"was answered {reply.status}"
            should = "pass" if self._allows else f"be answered {UNDECIDED}"
            return f"a request {done} without the database, should {should} (RATE_LIMIT_ON_DB_DOWN={setting})"
        if self._allows and reply.has_limits:
            return "a request that passed without the database has RateLimit headers"
        return None

    def _send_all(self) -> None:
        with client(self._target) as http:
            while not self._stopping.is_set():
                self.replies.append(send(http, self._key))
                self._stopping.wait(_PAUSE_S)


def send(http: httpx.Client, key: str, path: str = PATH) -> OutageReply:
    """Send one request on a connection of its own: a server may close one that was idle while this machine stalled."""
    sent_s = time.monotonic()
    try:
        answer = http.get(path, headers={"X-API-Key": key, "Connection": "close"}, timeout=_ANSWER_S)
    except httpx.HTTPError as error:
        return OutageReply(sent_s, time.monotonic(), 0, error=f"{type(error).__name__}: {error}")
    headers = answer.headers
    return OutageReply(sent_s, time.monotonic(), answer.status_code, headers.get("Retry-After"), "RateLimit" in headers)

"""A small server that limits API keys by rules, right or in a way that is chosen."""

import asyncio
import math
import time
from collections.abc import Callable, Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from gaia_checks.recorders.limits.burst_plan import BurstRule
from gaia_checks.recorders.limits.limits_recorder import PATH
from gaia_checks.target.responses import CONFIG
from tests.recorders.limiters import Check, Log

Spoil = Callable[[int, dict[str, str]], int]
"""(status, headers) -> the status; the headers may be changed."""


class Limited:
    """Rules and their decisions. Its headers always report its own counts."""

    def __init__(
        self,
        check: Check | None = None,
        *,
        racing_s: float = 0.0,
        spoil: Spoil = lambda status, _headers: status,
        created: int = 201,
        others: int = 0,
    ) -> None:
        """Decide by `check`; or count only `racing_s` after it was looked whether there is room.

        Every so many requests, `others`, are refused by a global rule.
        """
        self._check = check
        self._racing_s = racing_s
        self._spoil = spoil
        self._created = created
        self._others = others
        self._asked = 0
        self._book = Log()
        self.rules: dict[int, dict[str, Any]] = {}

    @property
    def routes(self) -> list[BaseRoute]:
        """What it serves."""
        return [
            Route(CONFIG, self.create, methods=["POST"]),
            Route(CONFIG + "/{id:int}", self.remove, methods=["DELETE"]),
            Route(PATH, self.ask),
        ]

    async def create(self, request: Request) -> Response:
        """Take a rule."""
        number = len(self.rules) + 1
        self.rules[number] = await request.json()
        return JSONResponse({"id": number}, self._created)

    async def remove(self, request: Request) -> Response:
        """Delete a rule."""
        del self.rules[request.path_params["id"]]
        return Response(status_code=204)

    async def ask(self, request: Request) -> Response:
        """Decide about one request."""
        key, self._asked = request.headers["X-API-Key"], self._asked + 1
        rules = {
            rule["rule_name"]: BurstRule(rule["limit_type"], rule["limit_value"])
            for rule in self.rules.values()
            if rule["scope_value"] == key
        }
        others_refuse = self._others > 0 and self._asked % self._others == 0
        before = time.monotonic()
        admits = not others_refuse and await self._admits(key, rules)
        now = time.monotonic() if self._racing_s else before
        for rule in rules.values() if admits else ():
            self._book.count(key, rule, now)
        headers = self._headers(key, rules, now)
        if others_refuse:
            headers |= {name: f'{headers[name]}, "other-rule"{said}' for name, said in _OTHERS.items()}
        if not admits:
            headers["Retry-After"] = str(self._retry_after_s(key, rules, now))
        return Response(status_code=self._spoil(404 if admits else 429, headers), headers=headers)

    async def _admits(self, key: str, rules: Mapping[str, BurstRule]) -> bool:
        now = time.monotonic()
        if self._check:
            return self._check(key, tuple(rules.values()), now)
        room = all(self._book.used(key, rule, now) < rule.limit for rule in rules.values())
        if self._racing_s:
            await asyncio.sleep(self._racing_s)
        return room

    def _headers(self, key: str, rules: Mapping[str, BurstRule], now: float) -> dict[str, str]:
        left = {name: max(0, rule.limit - self._book.used(key, rule, now)) for name, rule in rules.items()}
        grows = {name: self._book.oldest(key, rule, now) + rule.window_s - now for name, rule in rules.items()}
        tightest = min(rules, key=lambda name: (left[name], -grows[name]))
        return {
            "RateLimit-Policy": ", ".join(f'"{name}";q={rule.limit};w={rule.window_s}' for name, rule in rules.items()),
            "RateLimit": ", ".join(f'"{name}";r={left[name]};t={math.ceil(grows[name])}' for name in rules),
            "X-RateLimit-Limit": str(rules[tightest].limit),
            "X-RateLimit-Remaining": str(left[tightest]),
            "X-RateLimit-Reset": str(math.ceil(time.time() + grows[tightest])),
        }

    def _retry_after_s(self, key: str, rules: Mapping[str, BurstRule], now: float) -> int:
        full = [rule for rule in rules.values() if self._book.used(key, rule, now) >= rule.limit]
        return math.ceil(max((self._book.oldest(key, rule, now) + rule.window_s - now for rule in full), default=1))


_OTHERS = {"RateLimit-Policy": ";q=1;w=1", "RateLimit": ";r=0;t=1"}

"""Its limits: sliding windows in memory, all rules of a user decide together."""

import math
from collections import Counter, defaultdict, deque
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

WINDOWS_S = {
    "LimitPerSecond": 1, "LimitPerMinute": 60, "LimitPerHour": 3600, "LimitPerDay": 86_400, "LimitPerWeek": 604_800,
    "LimitPerMonth": 2_592_000,
}  # fmt: skip
_TEXT = 200


class Refused(Exception):
    """Why a rule is not accepted: its status and text."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


@dataclass
class Limits:
    """All rules and what they counted."""

    faults: Collection[str] = ()
    rules: dict[int, dict[str, Any]] = field(default_factory=dict)
    admitted: dict[tuple[int, str], deque[float]] = field(default_factory=lambda: defaultdict(deque))  # of an address
    refused: list[dict[str, Any]] = field(default_factory=list)  # one for each rule, user and second
    minutes: dict[int, Counter[tuple[str, str]]] = field(default_factory=lambda: defaultdict(Counter))  # by route
    times: deque[float] = field(default_factory=deque)  # of refusals
    last: int = 0
    last_refused: int = 0

    def decide(
        self, user: str, now_s: float, address: str = "", route: str = ""
    ) -> tuple[bool, str, list[dict[str, Any]]]:
        """Admit or refuse one request; return that, the text of the X-Quota header and the rules that refused."""
        applying = [rule for rule in self.rules.values() if rule["UserID"] == user and rule["Active"]]
        left = {rule["ID"]: limit(rule) - len(self._counted(rule, now_s, address)) for rule in applying}
        slack = -3 if "over-admission" in self.faults else 0
        admitted = all(each > slack for each in left.values())
        for rule in applying:
            if admitted:
                self.admitted[rule["ID"], address].append(now_s)
        refusing = [] if admitted else [rule for rule in applying if left[rule["ID"]] <= slack]
        for rule in refusing:
            self._refuse(rule, now_s, route)
        if not admitted:
            self.times.append(now_s)
        if applying:
            self.minutes[int(now_s) // 60 * 60][route, "passed" if admitted else "refused"] += 1
        return admitted, ", ".join(self._state(rule, now_s, address) for rule in applying), refusing

    def _refuse(self, rule: dict[str, Any], now_s: float, route: str) -> None:
        for row in reversed(self.refused):
            if row["Second"] < int(now_s):
                break
            if (row["RuleID"], row["Route"]) == (rule["ID"], route):
                row["Times"] += 1
                row["Last"] = now_s
                return
        about = {name: value for name, value in rule.items() if name not in ("ID", "Active")}
        self.last_refused += 1
        self.refused.append(
            {"ID": self.last_refused, "RuleID": rule["ID"], **about, "Second": int(now_s), "Last": now_s, "Times": 1,
             "Route": route}
        )  # fmt: skip

    def used(self, now_s: float) -> list[dict[str, Any]]:
        """Return what each rule counts of those that ever counted a request."""
        counted = [(r, self._counted(r, now_s)) for r in self.rules.values() if (r["ID"], "") in self.admitted]
        return [
            {"RuleID": rule["ID"], **{name: value for name, value in rule.items() if name not in ("ID", "Active")},
             "Used": len(times), "Left": limit(rule) - len(times), "Free": (*times, now_s)[0] + window_s(rule)}
            for rule, times in counted
        ]  # fmt: skip

    def statistics(self) -> dict[str, Any]:
        """Return what was decided in each minute, by route, and what each rule refused."""
        minutes = [
            {"At": minute, "Route": route, "Outcome": outcome, "Requests": requests}
            for minute, counts in self.minutes.items()
            for (route, outcome), requests in counts.items()
        ]
        refused: Counter[tuple[int, str]] = Counter()
        for row in self.refused:
            refused[row["RuleID"], row["Name"]] += row["Times"]
        rules = [{"RuleID": number, "Name": name, "Times": times} for (number, name), times in refused.items()]
        return {"minutes": minutes, "rules": rules}

    def refused_within_a_minute(self, now_s: float) -> int:
        """Return the number of refusals."""
        while self.times and self.times[0] <= now_s - 60:
            self.times.popleft()
        return len(self.times)

    def put(self, body: Any, identity: int | None = None) -> dict[str, Any]:
        """Store a rule, a new one without `identity`. Raises Refused."""
        rule = _checked(body)
        if any(each["Name"] == rule["Name"] and each["ID"] != identity for each in self.rules.values()):
            raise Refused(409, "another rule has that name")
        if identity is None:
            self.last = identity = self.last + 1
        self.rules[identity] = {"ID": identity, **rule}
        return self.rules[identity]

    def remove(self, identity: int) -> None:
        """Remove a rule and what it counted."""
        name = self.rules.pop(identity)["Name"]
        for counted in [each for each in self.admitted if each[0] == identity]:
            del self.admitted[counted]
        self.refused = [each for each in self.refused if each["Name"] != name]

    def _counted(self, rule: dict[str, Any], now_s: float, address: str = "") -> deque[float]:
        counted = self.admitted[rule["ID"], address]
        while counted and counted[0] <= now_s - window_s(rule):
            counted.popleft()
        return counted

    def _state(self, rule: dict[str, Any], now_s: float, address: str) -> str:
        counted = self._counted(rule, now_s, address)
        at_s = counted[0] + window_s(rule) if counted else now_s
        left, more_s = max(0, limit(rule) - len(counted)), math.ceil(at_s - now_s)
        left = 1 if "hard-coded" in self.faults else left
        return f"{rule['Name']} max={limit(rule)} per={window_s(rule)} left={left} more={more_s} at={math.ceil(at_s)}"


def limit(rule: dict[str, Any]) -> int:
    """Return how many requests a rule admits."""
    return next(int(rule[name]) for name in WINDOWS_S if name in rule)


def window_s(rule: dict[str, Any]) -> int:
    """Return within how many seconds."""
    return next(seconds for name, seconds in WINDOWS_S.items() if name in rule)


def _checked(body: Any) -> dict[str, Any]:
    if not isinstance(body, dict) or len(windows := [name for name in WINDOWS_S if name in body]) != 1:
        raise Refused(422, "a rule needs one LimitPer...")
    if body.keys() != {"Name", "UserID", "Active", windows[0]}:
        raise Refused(422, "a rule has Name, UserID, Active and one LimitPer...")
    for name in ("Name", "UserID"):
        text = body[name]
        if not (isinstance(text, str) and 0 < len(text) <= _TEXT and text.isascii() and text.isprintable()):
            raise Refused(422, f"{name} is not 1 to {_TEXT} printable characters")
    if type(body[windows[0]]) is not int or not 0 < body[windows[0]] < 2**31:
        raise Refused(422, f"{windows[0]} is no number of requests")
    if type(body["Active"]) is not bool:
        raise Refused(422, "Active is not true or false")
    return body

"""The contract's own words, and what a server under other names calls them. Pure, but for adapters' processes.

An environment file maps names, never code: `[contract.paths]`, `[contract.fields]` and `[contract.metrics]`, each
`ours = theirs`. Every look speaks docs/contract.md; what goes out is put into their words here, and what comes back
into ours. Only names differ: the values of fields, headers, message types and status codes are the contract's, unless
an adapter translates those. What goes out passes the adapter first, and what comes back passes it last.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol, TypeVar

from gaia_checks.contract import translator
from gaia_checks.contract.adapter import HttpAnswer, HttpRequest
from gaia_checks.errors import EnvironmentFileError
from gaia_checks.model import Names

Text = TypeVar("Text", str, bytes)

USER_AGENT = "curl/7.88.1"
"""What requests say they come from: a client that many servers know, and none treats in its own way."""

_PATHS = """
    /health /livez /readyz /metrics /openapi.json /ws/admin/quotas /admin/quotas /admin/login /api/admin/quotas
    /api/admin/quotas/config /api/admin/quotas/usage /api/admin/quotas/violations /api/admin/quotas/alerts
    /api/admin/quotas/analytics /api/admin/quotas/users /api/admin/quotas/reputation
    /api/admin/quotas/reputation-events
"""
_FIELDS = """
    rule_name scope scope_value limit_type limit_value resource_type enabled id created_at updated_at
    items total limit offset since until
    rule_id key effective_limit used remaining resets_at occurred_at last_at hits
    status version digest uptime_s checks database pool size in_use waiting max rate_limiting on_db_down websocket
    clients type timestamp seq data requests_per_second requests violations_last_minute rules websocket_clients
    memory_bytes instance alerts firing watched name says threshold window_s severity value state at
    fired_at resolved_value resolved_at
    user limits own reputation reputation_in_force score tier vip factor clean_requests kind change reason min_score
    max_score minutes per totals admitted denied denied_ratio decisions start by_resource by_scope by_rule keys share
    top_keys load cpu_percent pool_in_use
    title detail errors field
"""
_METRICS = """
    gaia_http_requests_total gaia_http_request_duration_seconds
    gaia_rate_limit_decisions_total gaia_rate_limit_rule_decisions_total gaia_rate_limit_violations_total
    gaia_rate_limit_decision_duration_seconds gaia_rate_limit_batch_size gaia_rate_limit_rules
    gaia_websocket_messages_total gaia_websocket_clients gaia_build_info gaia_uptime_seconds
    gaia_database_up gaia_database_pool_connections gaia_database_pool_in_use gaia_database_pool_waiting
    gaia_database_pool_max gaia_violations_last_minute gaia_alerts_firing
    process_resident_memory_bytes process_cpu_seconds_total process_start_time_seconds
"""

PATHS, FIELDS, METRICS = (frozenset(words.split()) for words in (_PATHS, _FIELDS, _METRICS))
"""What may be mapped. What is below a path moves with it, and the parts of a histogram with their metric."""

_KINDS = {
    "paths": (PATHS, re.compile(r"/[^?#\s]*(?<!/)"), "/healthz"),
    "fields": (FIELDS, re.compile(r"\S(.*\S)?"), "name"),
    "metrics": (METRICS, re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*"), "pool_in_use"),
}
"""Table -> what may be mapped, the shape of what it is mapped to, an example of that."""


def read(where: str, document: Mapping[str, Any], folder: Path) -> Names:
    """Return the names in the table `contract` of an environment file in `folder`. Raises EnvironmentFileError."""
    contract = document.get("contract", {})
    if not isinstance(contract, dict):
        raise EnvironmentFileError(f"{where}: contract: {contract!r} is not a table; write [contract.paths]")
    for kind in contract:
        if kind not in (*_KINDS, "adapter"):
            known = ", ".join((*_KINDS, "adapter"))
            raise EnvironmentFileError(f"{where}: contract.{kind}: unknown key; known here: {known}")
    return Names(
        **{kind: _table(where, kind, contract[kind]) for kind in _KINDS if kind in contract},
        adapter=_adapter(f"{where}: contract.adapter", contract["adapter"], folder) if "adapter" in contract else "",
    )


class Translates(Protocol):
    """Calls an adapter. Raises AdapterError."""

    def request(self, request: HttpRequest) -> HttpRequest:
        """Return a request of the contract as the server understands it."""

    def answer(self, request: HttpRequest, answer: HttpAnswer) -> HttpAnswer:
        """Return an answer as the contract has it."""


Start = Callable[[str], Translates]
"""Given the text of an adapter, returns what calls it."""


def outgoing(names: Names, request: HttpRequest, start: Start = translator.running) -> HttpRequest:
    """Return a request of the contract in the server's words. Raises AdapterError."""
    if names.adapter:
        request = start(names.adapter).request(request)
    return replace(request, path=path(names, request.path), body=theirs(names, request.body))


def incoming(names: Names, request: HttpRequest, answer: HttpAnswer, start: Start = translator.running) -> HttpAnswer:
    """Return the server's answer to a request of the contract in the contract's words. Raises AdapterError."""
    answer = replace(answer, body=ours(names, answer.body))
    return start(names.adapter).answer(request, answer) if names.adapter else answer


def our_message(names: Names, frame: str) -> str:
    """Return the text of a WebSocket message in the contract's words. Raises AdapterError."""
    text = our_text(names, frame)
    message = _json_object(text) if names.adapter else None
    return text if message is None else json.dumps(translator.running(names.adapter).message(message))


def reply(names: Names, frame: str | bytes) -> str | None:
    """Return what the client must send after a message, None for nothing. Raises AdapterError."""
    message = _json_object(our_text(names, frame)) if names.adapter and isinstance(frame, str) else None
    owed = None if message is None else translator.running(names.adapter).reply(message)
    return None if owed is None else json.dumps(owed)


def _json_object(text: str) -> dict[str, Any] | None:
    """Return the object that a message is; None for anything else, which no adapter translates."""
    try:
        message = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return message if isinstance(message, dict) else None


def _adapter(label: str, name: Any, folder: Path) -> str:
    if not isinstance(name, str) or not name.endswith(".py"):
        raise EnvironmentFileError(f'{label}: {name!r} is no Python file; write e.g. "adapters/ours.py"')
    return translator.read(label, folder / name)


def path(names: Names, ours: str) -> str:
    """Return what the server calls a path of the contract, with or without a query."""
    bare, mark, query = ours.partition("?")
    return _moved(bare, names.paths) + mark + "&".join(_parameter(part, names.fields) for part in query.split("&"))


def our_path(names: Names, theirs: str) -> str:
    """Return which path of the contract a path of the server is."""
    return _moved(theirs, _turned(names.paths))


def theirs(names: Names, value: Any) -> Any:
    """Return a JSON value with the server's names of fields, at every depth."""
    if isinstance(value, list):
        return [theirs(names, item) for item in value]
    if isinstance(value, dict):
        return {names.fields.get(key, key): theirs(names, item) for key, item in value.items()}
    return value


def ours(names: Names, value: Any) -> Any:
    """Return a JSON value of the server with the contract's names of fields, at every depth.

    A word of theirs that the contract has for something else, and that is not mapped itself (a rule's `name` over
    there, an alert's `name` here), stays beside its translation. Keys that are paths, as those of an OpenAPI document,
    become ours as well.
    """
    return _Back(names).value(value)


def their_text(names: Names, text: Text) -> Text:
    """Return the text of a JSON document in the server's words; what is no JSON stays as it is."""
    return _rewritten(text, lambda value: theirs(names, value)) if names.fields else text


def our_text(names: Names, text: Text) -> Text:
    """Return the text of the server's JSON document in the contract's words; what is no JSON stays as it is."""
    return _rewritten(text, lambda value: ours(names, value)) if names.fields or names.paths else text


def our_metrics(names: Names, text: str) -> str:
    """Return Prometheus text with the contract's names: of samples, HELP and TYPE, and of the paths that are routes."""
    for known, called in names.metrics.items():
        line = rf"^(# \w+ )?{re.escape(called)}(?=[\s{{]|_(?:bucket|count|sum)[\s{{])"
        text = re.sub(line, rf"\g<1>{known}", text, flags=re.MULTILINE)
    return re.sub(r'(?<=\broute=")/[^"]*', lambda route: our_path(names, route[0]), text)


def _table(where: str, kind: str, table: Any) -> dict[str, str]:
    known, shape, example = _KINDS[kind]
    if not isinstance(table, dict):
        raise EnvironmentFileError(f"{where}: contract.{kind}: {table!r} is not a table of ours = theirs")
    called: dict[str, str] = {}
    for name, theirs in table.items():
        label = f"{where}: contract.{kind}.{name}"
        if name not in known:
            raise EnvironmentFileError(f"{label}: not a word of the contract; known here: {', '.join(sorted(known))}")
        if not isinstance(theirs, str) or not shape.fullmatch(theirs):
            raise EnvironmentFileError(f'{label}: {theirs!r} is no such name; write e.g. "{example}"')
        if other := called.get(theirs):
            raise EnvironmentFileError(f"{label}: {theirs!r} is {other} already; what comes back could be either")
        called[theirs] = name
    return _turned(called)


def _moved(path: str, table: Mapping[str, str]) -> str:
    """Move a path by the longest entry that is the path or stands above it."""
    above = [entry for entry in table if path == entry or path.startswith(f"{entry}/")]
    longest = max(above, key=len, default="")
    return table[longest] + path.removeprefix(longest) if longest else path


def _parameter(part: str, fields: Mapping[str, str]) -> str:
    name, equals, value = part.partition("=")
    return fields.get(name, name) + equals + value


def _turned(table: Mapping[str, str]) -> dict[str, str]:
    return {right: left for left, right in table.items()}


class _Back:
    """The way back from the server's words."""

    def __init__(self, names: Names) -> None:
        self._fields, self._paths = _turned(names.fields), _turned(names.paths)
        self._stay = FIELDS - names.fields.keys()

    def value(self, theirs: Any) -> Any:
        """Return a JSON value in our words."""
        if isinstance(theirs, list):
            return [self.value(item) for item in theirs]
        if not isinstance(theirs, dict):
            return theirs
        clean = {_moved(key, self._paths) if key[:1] == "/" else key: self.value(theirs[key]) for key in theirs}
        kept = {key: item for key, item in clean.items() if key not in self._fields or key in self._stay}
        return kept | {self._fields[key]: item for key, item in clean.items() if key in self._fields}


def _rewritten(text: Text, change: Callable[[Any], Any]) -> Text:
    try:
        changed = json.dumps(change(json.loads(text)))
    except (ValueError, RecursionError):
        return text
    return changed.encode() if isinstance(text, bytes) else changed

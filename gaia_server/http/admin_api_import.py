"""The import of rules: many at once, all or none, after a preview of the changes."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from gaia_server.app_state import Server, server_of
from gaia_server.http.admin_api import used
from gaia_server.http.definitions.bodies import RuleImport
from gaia_server.http.definitions.parameters import ImportParameters
from gaia_server.http.preconditions import etag, matches, require_confirmation
from gaia_server.http.request_parsing import query, read_json
from gaia_server.http.validation import valid
from gaia_server.limiting import management
from gaia_server.limiting.principals import Principal
from gaia_server.limiting.rules import RuleFields
from gaia_server.problem import Json, Problem
from gaia_server.storage.rule_import import Changes, apply, changes

MAX_IMPORT = 1024 * 1024
"""Bytes of a body with rules: about 5,000 of them."""


async def import_rules(request: Request) -> Response:
    """Preview what the rules of the body would change; with `apply`, change all of it or nothing.

    A rule of the body replaces the one of its name. `If-Match` names the version of the rules in the preview.
    """
    server = server_of(request)
    given = query(request, ImportParameters)
    wanted = _rules(await read_json(request, MAX_IMPORT))
    before = await server.store.rules()
    found = changes(before, wanted)
    if not given.apply:
        return _answer(found, etag([asdict(rule) for rule in before]))
    if not given.confirm:
        await _require_confirmation(server, server.principal(request), found)
    applied = await apply(server.store, wanted, lambda rules: matches(request, etag([asdict(rule) for rule in rules])))
    if applied is None:
        raise Problem(412, "the rules were changed since the preview: preview the import again")
    await server.read_rules()
    return _answer(applied, etag([asdict(rule) for rule in await server.store.rules()]))


async def _require_confirmation(server: Server, principal: Principal, found: Changes) -> None:
    rules = [(rule, 0) for rule in found.created]
    rules += [
        (after, await used(server, before, after, principal))
        for before, after in found.changed
        if management.applies(after, principal)
    ]
    require_confirmation(principal, rules)


def _answer(found: Changes, version: str) -> Response:
    body = {
        "created": [asdict(rule) for rule in found.created],
        "changed": [{"before": asdict(before), "after": asdict(after)} for before, after in found.changed],
        "unchanged": found.unchanged,
    }
    return Json(body, headers={"ETag": version})


def _rules(body: Any) -> Sequence[RuleFields]:
    """Return the rules of a body. Raises Problem 422 with every error of every rule, as `rules.INDEX.FIELD`."""
    invalid = "not every rule is valid: nothing is changed"
    errors, rules = _duplicates(body), []
    try:
        rules = valid(RuleImport, body, invalid).rules
    except Problem as problem:
        errors = [*problem.errors, *errors]
    if errors:
        raise Problem(422, invalid, errors=errors)
    return rules


def _duplicates(body: Any) -> list[Mapping[str, str]]:
    rules = body.get("rules") if isinstance(body, dict) else None
    given = rules if isinstance(rules, list) else []
    names = [one.get("rule_name") if isinstance(one, dict) else None for one in given]
    counted = Counter(name for name in names if isinstance(name, str))
    return [
        {"field": f"rules.{index}.rule_name", "detail": "is given more than once"}
        for index, name in enumerate(names)
        if isinstance(name, str) and counted[name] > 1
    ]

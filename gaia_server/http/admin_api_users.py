"""The admin API about users: their limits and their reputation."""

from collections.abc import Callable, Mapping
from typing import Any

from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import Response

from gaia_server.app_state import Server, server_of
from gaia_server.field_types import Key
from gaia_server.http.admin_api import list_of
from gaia_server.http.definitions.bodies import ReputationFields, UserLimits
from gaia_server.http.definitions.parameters import EventFilters, ReputationFilters, UserFilters
from gaia_server.http.preconditions import changed, etag, is_confirmed, matches, require_confirmation
from gaia_server.http.request_parsing import query, read_json
from gaia_server.http.validation import adapter, valid
from gaia_server.limiting.rules import RuleFields
from gaia_server.problem import Json, Problem
from gaia_server.storage import reputation_scores, users
from gaia_server.storage.store import DuplicateName, Rows


async def list_users(request: Request) -> Response:
    """List the counted users, by the most used of their limits."""
    in_force = server_of(request).settings.reputation_enabled
    return await list_of(request, users.USERS, query(request, UserFilters), reputation=in_force)


async def read_user(request: Request) -> Response:
    """Return the limits that apply to a user, the use of each, and the reputation."""
    return await _user_response(request, _user(request))


async def replace_limits(request: Request) -> Response:
    """Replace a user's own limits, in force in this process when the response is sent."""
    server, user, confirmed = server_of(request), _user(request), is_confirmed(request)
    wanted = valid(UserLimits, await read_json(request), "the body has no valid limits").limits
    if not confirmed:
        await _require_confirmation(server, request, user, wanted)
    try:
        done = await users.replace_limits(server.store, user, wanted, _is_unchanged(request))
    except DuplicateName as error:
        raise Problem(409, f"a rule of another kind has the name of a limit of {error}") from error
    if not done:
        raise _changed(await users.own_rules(server.store, user), wanted)
    await server.read_rules()
    return await _user_response(request, user)


async def delete_limits(request: Request) -> Response:
    """Delete a user's own limits and their counts."""
    server, user = server_of(request), _user(request)
    if not await users.delete_limits(server.store, user, _is_unchanged(request)):
        if own := await users.own_rules(server.store, user):
            raise _changed(own, None)
        raise Problem(404, "this user has no limits of their own")
    await server.read_rules()
    return Response(status_code=204)


async def list_reputations(request: Request) -> Response:
    """List all known scores, lowest first."""
    return await list_of(request, reputation_scores.SCORES, query(request, ReputationFilters))


async def list_events(request: Request) -> Response:
    """List the changes of scores with their causes, newest first."""
    return await list_of(request, reputation_scores.EVENTS, query(request, EventFilters))


async def read_reputation(request: Request) -> Response:
    """Return a user's score and tier."""
    known = await reputation_scores.read(server_of(request).store, _user(request))
    if known is None:
        raise Problem(404, "this user has no recorded reputation")
    return Json(known)


async def replace_reputation(request: Request) -> Response:
    """Set a score manually, with a reason."""
    store, user = server_of(request).store, _user(request)
    wanted = valid(ReputationFields, await read_json(request), "the body is not a valid reputation")
    await reputation_scores.write(store, user, score=wanted.score, vip=wanted.vip, reason=wanted.reason)
    return Json(await reputation_scores.read(store, user))


async def delete_reputation(request: Request) -> Response:
    """Set a score back to its start, without events."""
    if not await reputation_scores.forget(server_of(request).store, _user(request)):
        raise Problem(404, "this user has no recorded reputation")
    return Response(status_code=204)


async def _user_response(request: Request, user: str) -> Response:
    server = server_of(request)
    in_force = server.settings.reputation_enabled
    body: dict[str, Any] = {
        "user": user,
        "limits": await users.limits(server.store, user, reputation=in_force),
        "reputation": await reputation_scores.read(server.store, user) or reputation_scores.start(user),
        "reputation_in_force": in_force,
    }
    return Json(body, headers={"ETag": etag(await users.own_rules(server.store, user))})


def _is_unchanged(request: Request) -> Callable[[Rows], bool]:
    return lambda own: matches(request, etag(own))


def _changed(own: Rows, wanted: Mapping[str, int] | None) -> Problem:
    now = {rule["limit_type"]: rule["limit_value"] for rule in own if rule["enabled"] and not rule["resource_type"]}
    return changed({"limits": now}, None if wanted is None else {"limits": wanted}, etag(own))


async def _require_confirmation(server: Server, request: Request, user: str, wanted: Mapping[str, int]) -> None:
    principal = server.principal(request)
    if principal.key != users.key(user):
        return
    found = await users.limits(server.store, user, reputation=False)
    used = {rule["limit_type"]: rule["used"] for rule in found if rule["own"] and not rule["resource_type"]}
    rules = [
        (
            RuleFields(
                rule_name=users.rule_name(user, kind),
                scope="user",
                scope_value=user,
                limit_type=kind,
                limit_value=value,
            ),
            used.get(kind, 0),
        )
        for kind, value in wanted.items()
    ]
    require_confirmation(principal, rules)


def _user(request: Request) -> str:
    try:
        return str(adapter(Key).validate_python(request.path_params["user"]))
    except ValidationError as error:
        raise Problem(404, f"the user's name {error.errors()[0]['msg']}") from None

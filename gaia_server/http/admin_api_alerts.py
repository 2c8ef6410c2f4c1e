"""The admin API of alerts: `/api/admin/quotas/alerts...`: their history, their rules, who takes care of them."""

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from gaia_server.app_state import server_of
from gaia_server.http.admin_api import list_of, page_of
from gaia_server.http.definitions.bodies import Acknowledgement, Mute
from gaia_server.http.definitions.parameters import AlertFilters, Paging
from gaia_server.http.preconditions import changed, etag, expected, matches
from gaia_server.http.request_parsing import query, read_json, row_id
from gaia_server.http.validation import valid
from gaia_server.problem import Json, Problem
from gaia_server.push.alerts import AlertRule, AlertRuleFields
from gaia_server.storage import alert_history, alert_rules
from gaia_server.storage.alert_history import ALERTS
from gaia_server.storage.alert_rules import ALERT_RULES, UnknownRule
from gaia_server.storage.store import DuplicateName, Page

_NO_ALERT = "there is no alert with this id"
_NO_RULE = "there is no alert rule with this id"


async def list_alerts(request: Request) -> Response:
    """List alerts of all server processes, newest first."""
    return await list_of(request, ALERTS, query(request, AlertFilters))


async def acknowledge(request: Request) -> Response:
    """Record who takes care of a firing alert; the first one stays."""
    store, alert_id = server_of(request).store, row_id(request, _NO_ALERT)
    by = valid(Acknowledgement, await read_json(request), "the body is not an acknowledgement").by
    acknowledged = await alert_history.acknowledge(store, alert_id, by)
    found = (await store.page(ALERTS, {"id": alert_id}, limit=1, offset=0)).items
    if not found:
        raise Problem(404, _NO_ALERT)
    if not acknowledged:
        raise Problem(409, "the alert has resolved")
    return Json(found[0])


async def list_rules(request: Request) -> Response:
    """List alert rules, by id."""
    wanted = query(request, Paging)
    page = await server_of(request).store.page(ALERT_RULES, {}, limit=wanted.limit, offset=wanted.offset)
    return page_of(Page([AlertRule(**row).to_json() for row in page.items], page.total), wanted)


async def create_rule(request: Request) -> Response:
    """Create an alert rule, in force on all processes within a second."""
    wanted = await _wanted(request)
    try:
        rule = await alert_rules.create(server_of(request).store, wanted)
    except (DuplicateName, UnknownRule) as error:
        raise _conflict(error) from error
    return _answer(rule, 201, {"Location": f"/api/admin/quotas/alerts/rules/{rule.id}"})


async def read_rule(request: Request) -> Response:
    """Return one alert rule."""
    return _answer(await _found(request))


async def replace_rule(request: Request) -> Response:
    """Replace an alert rule by the body."""
    wanted = await _wanted(request)
    before = await _unchanged(request, asdict(wanted))
    try:
        rule = await alert_rules.replace(
            server_of(request).store, before.id, wanted, expected(request, before.updated_at)
        )
    except (DuplicateName, UnknownRule) as error:
        raise _conflict(error) from error
    if rule is None:  # it has just been changed or deleted
        rule = await _unchanged(request, asdict(wanted))
    return _answer(rule)


async def delete_rule(request: Request) -> Response:
    """Delete an alert rule; its alert resolves."""
    before = await _unchanged(request, None)
    if not await alert_rules.delete(server_of(request).store, before.id, expected(request, before.updated_at)):
        await _unchanged(request, None)  # it has just been changed or deleted
    return Response(status_code=204)


async def mute_rule(request: Request) -> Response:
    """Notify nobody of an alert rule's alerts for a time; 0 ends that."""
    rule_id = row_id(request, _NO_RULE)
    for_s = valid(Mute, await read_json(request), "the body is not a mute").for_s
    rule = await alert_rules.mute(server_of(request).store, rule_id, for_s)
    if rule is None:
        raise Problem(404, _NO_RULE)
    return _answer(rule)


def _answer(rule: AlertRule, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return Json(rule.to_json(), status_code=status, headers={**(headers or {}), "ETag": etag(rule.versioned)})


async def _wanted(request: Request) -> AlertRuleFields:
    wanted = valid(AlertRuleFields, await read_json(request), "the body is not a valid alert rule")
    if wanted.clears_at > wanted.threshold:
        detail = {"field": "clear_threshold", "detail": "is above the threshold"}
        raise Problem(409, "an alert resolves at or below its threshold", errors=[detail])
    return replace(wanted, clear_threshold=wanted.clears_at)


async def _found(request: Request) -> AlertRule:
    rule = await alert_rules.alert_rule(server_of(request).store, row_id(request, _NO_RULE))
    if rule is None:
        raise Problem(404, _NO_RULE)
    return rule


async def _unchanged(request: Request, wanted: Any) -> AlertRule:
    """Return the alert rule. Raises Problem 404 without it, 412 if it is not the version that `If-Match` names."""
    rule = await _found(request)
    if matches(request, version := etag(rule.versioned)):
        return rule
    raise changed(rule.to_json(), wanted, version)


def _conflict(error: DuplicateName | UnknownRule) -> Problem:
    if isinstance(error, DuplicateName):
        taken = {"field": "name", "detail": "is taken"}
        return Problem(409, f"another alert rule is named {error}", errors=[taken])
    unknown = {"field": "rule_id", "detail": "is the id of no rate limit rule"}
    return Problem(409, f"there is no rate limit rule {error}", errors=[unknown])

"""Whether no rule locks administrators out: rules that refuse everything are created, obeyed, and removed again."""

from collections.abc import Iterator

import httpx

from gaia_checks.probes.access.admin_routes import NOT_FOUND
from gaia_checks.probes.fresh_install.fresh_servers import (
    PROXY,
    REFUSED,
    Installation,
    Sample,
    administrator,
    body,
    unless,
)
from gaia_checks.target.responses import CONFIG, LOGIN, QUOTAS, USAGE

_CONFLICT = 409
_MANAGED = (CONFIG, f"{QUOTAS}/users")


def samples(installed: Installation) -> Iterator[Sample]:
    """Yield, for a global rule and one for the administrator's address, what it must refuse and what it must not.

    A rule that cannot be removed is the last one: it would refuse what is looked at next.
    """
    with administrator(installed.direct) as admin:
        for scope, value in (("global", None), ("ip", PROXY)):
            rule = body(installed.name(f"everything-{scope}"), scope, value, 0)
            status = admin.post(CONFIG, json=rule).status_code
            yield unless(status == _CONFLICT, f"a rule that refuses its own author was answered {status} unconfirmed")
            made = admin.post(CONFIG, params={"confirm": "true"}, json=rule) if status == _CONFLICT else None
            if made is None or made.status_code != 201:
                yield f"a rule that refuses everything ({scope}) cannot be made: status {made and made.status_code}"
                return
            yield from _obeyed(installed, admin, scope)
            removed = admin.delete(f"{CONFIG}/{made.json()['id']}").status_code
            yield unless(removed == 204, _locked_out(scope, f"DELETE {CONFIG}/{{id}}", removed))
            if removed != 204:
                return


def _obeyed(installed: Installation, admin: httpx.Client, scope: str) -> Iterator[Sample]:
    refused = admin.get(USAGE).status_code
    yield unless(refused == REFUSED, f"a rule that refuses everything ({scope}) is not in force: status {refused}")
    for path in _MANAGED:
        status = admin.get(path, params={"limit": 1}).status_code
        yield unless(status == 200, _locked_out(scope, f"GET {path}", status))
    status = admin.post(LOGIN, json={"token": installed.direct.admin_token}).status_code
    admin.cookies.clear()
    if status not in NOT_FOUND:  # without a login nobody is locked out of it
        yield unless(status == 204, _locked_out(scope, f"POST {LOGIN}", status))


def _locked_out(scope: str, request: str, status: int) -> str:
    return f"a rule that refuses everything ({scope}) locks administrators out: {request}: status {status}"

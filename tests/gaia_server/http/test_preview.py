"""What another limit of a rule would have refused."""

import httpx
import pytest

from tests.gaia_server.conftest import Running, unique


@pytest.mark.parametrize("limit_type", ["requests_per_hour", "daily_quota"])
def test_a_lower_limit_would_have_refused_the_rest(own: Running, limit_type: str) -> None:
    """Of each client's admitted requests those beyond the limit; refused requests were not admitted."""
    rule = own.rule(limit_type=limit_type, limit_value=6)
    for sent in (2, 5, 8):
        key = unique("client")
        own.rule(scope_value=key, limit_value=100)
        with httpx.Client(headers={**own.bearer, "X-API-Key": key}) as client:
            for _ in range(sent):
                client.get(f"{own.home}/alerts")
    url = f"{own.home}/config/{rule['id']}/preview"
    for limit, over, refused in ((6, 0, 0), (4, 2, 3), (0, 3, 13)):
        found = own.get(url, params={"limit_value": limit}).json()
        assert found == {
            "rule_id": rule["id"],
            "limit_type": limit_type,
            "limit_value": limit,
            "clients": 3,
            "clients_over": over,
            "admitted": 13,
            "refused_at_least": refused,
        }


def test_a_preview_needs_a_rule_and_a_valid_limit(client: httpx.Client) -> None:
    """The limit is by default the rule's own, which would have refused nothing more."""
    assert client.get("/config/999999999/preview?limit_value=1").status_code == 404
    rule = client.get("/config").json()["items"][0]
    found = client.get(f"/config/{rule['id']}/preview").json()
    assert (found["limit_value"], found["refused_at_least"]) == (rule["limit_value"], 0)
    assert client.get(f"/config/{rule['id']}/preview?limit_value=-1").status_code == 422

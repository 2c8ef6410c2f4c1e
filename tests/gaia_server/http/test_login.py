"""Login behind a proxy that ends TLS."""

import pytest

from tests.gaia_server.conftest import TOKEN, Start
from tests.support import plain_http

CLAIMED = [{"X-Forwarded-Proto": "https"}, {"Forwarded": 'for="[2001:db8::7]:443";proto=https;host=gaia.example'}]


@pytest.mark.parametrize(("proxies", "secure"), [("127.0.0.1", True), ("192.0.2.1", False)])
def test_the_session_cookie_is_secure_behind_tls(start: Start, proxies: str, *, secure: bool) -> None:
    """The cookie has Secure where a trusted proxy reports TLS, and never without it."""
    server = start(ADMIN_TOKEN=TOKEN, TRUSTED_PROXIES=proxies)
    for headers, expected in [(CLAIMED[0], secure), (CLAIMED[1], secure), ({}, False)]:
        answer = plain_http.post(f"{server.base_url}/admin/login", json={"token": TOKEN}, headers=headers)
        assert answer.status_code == 204
        assert ("Secure" in answer.headers["set-cookie"].split("; ")) is expected


def test_a_page_behind_a_proxy_logs_in(start: Start) -> None:
    """The page's origin is the host that the proxy was addressed by; another site's page is refused."""
    server = start(ADMIN_TOKEN=TOKEN, TRUSTED_PROXIES="127.0.0.1")
    for origin, status in (("https://gaia.example", 204), ("https://evil.example", 403)):
        headers = {"Origin": origin, "X-Forwarded-Host": "gaia.example", "X-Forwarded-Proto": "https"}
        answer = plain_http.post(f"{server.base_url}/admin/login", json={"token": TOKEN}, headers=headers)
        assert answer.status_code == status


def test_clients_behind_a_proxy_that_adds_ports_are_distinct(start: Start) -> None:
    """Each client has its own count, however the proxy writes its address."""
    server = start(TRUSTED_PROXIES="127.0.0.1", ADMIN_TOKEN=TOKEN)
    plain_http.post(
        f"{server.home}/config",
        json={"rule_name": "one", "scope": "ip", "limit_type": "requests_per_hour", "limit_value": 1},
        headers={"Authorization": f"Bearer {TOKEN}", "X-User-ID": "admin"},
    ).raise_for_status()
    names = [{"X-Forwarded-For": f"198.51.100.{client}:5123{client}"} for client in range(4)]
    names += [{"Forwarded": f'for="[2001:db8:{client}::1]:443"'} for client in range(4)]
    for status in (401, 429):
        assert {plain_http.get(f"{server.home}/usage", headers=name).status_code for name in names} == {status}

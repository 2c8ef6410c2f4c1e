"""Ways around a limit that people try: other names, other spellings of the path, other methods."""

from tests.gaia_server.conftest import Running
from tests.gaia_server.http.test_bounded_protocol import HOST, talk

PATH = b"/api/admin/quotas/usage"

HEADERS = (
    b"",
    b"X-Forwarded-For: 198.51.100.7\r\n",
    b"X-Forwarded-For: 198.51.100.7\r\nX-Forwarded-For: 127.0.0.1\r\n",
    b"Forwarded: for=198.51.100.7\r\n",
    b"X-Real-IP: 198.51.100.7\r\n",
    b"X-Client-IP: 198.51.100.7\r\n",
    b"True-Client-IP: 198.51.100.7\r\n",
    b"CF-Connecting-IP: 198.51.100.7\r\n",
    b"X-User-ID: other\r\n",
    b"x-user-id: other\r\nX-Session-ID: other\r\n",
    b"X-Session-ID: other\r\n",
    b"X-API-Key: invented\r\n",
    b"X-API-Key: \r\n",
    b"Authorization: Basic b3RoZXI6\r\n",
    b"X-HTTP-Method-Override: OPTIONS\r\n",
    b"X-Original-URL: /livez\r\n",
    b"X-Rewrite-URL: /livez\r\n",
    b"Cookie: session=other\r\n",
)

TARGETS = (
    PATH + b"?",
    PATH + b"?x=" + b"a" * 100,
    PATH + b"/",
    b"/api//admin/quotas/usage",
    b"//api/admin/quotas/usage",
    b"/API/admin/quotas/usage",
    b"/%61pi/admin/quotas/usage",
    b"/api%2fadmin/quotas/usage",
    b"/api/admin/quotas/us%61ge",
    b"/./api/admin/quotas/usage",
    b"/livez/../api/admin/quotas/usage",
    b"/api/admin/quotas/usage%00",
    b"/api/admin/quotas/usage;x=1",
    b"http://localhost" + PATH,
    b"\\api\\admin\\quotas\\usage",
)

REFUSED, NOT_THE_API = 429, {400, 404, 405}
"""Beyond the limit a request would be answered with 401, as it has no token."""


def sent(server: Running, method: bytes, target: bytes, headers: bytes = b"") -> int:
    """Send a request from this machine's address; return the status."""
    head = method + b" " + target + b" HTTP/1.1\r\nConnection: close\r\n" + HOST + headers + b"\r\n"
    (answer,) = talk(server, head)
    return answer.status


def test_no_request_is_beyond_its_limit(own: Running) -> None:
    """An address that may send nothing reaches the API by no header, spelling or method."""
    assert sent(own, b"GET", PATH) == 401
    own.rule(scope="ip", scope_value="127.0.0.1", limit_value=0)
    assert {headers: sent(own, b"GET", PATH, headers) for headers in HEADERS} == dict.fromkeys(HEADERS, REFUSED)
    by_method = {method: sent(own, method, PATH) for method in (b"POST", b"PUT", b"DELETE", b"PATCH", b"OPTIONS")}
    assert by_method == dict.fromkeys(by_method, REFUSED)
    by_target = {target: sent(own, b"GET", target) for target in TARGETS}
    assert set(by_target.values()) <= {REFUSED, *NOT_THE_API}, by_target
    assert by_target[PATH + b"?"] == by_target[b"http://localhost" + PATH] == REFUSED
    assert sent(own, b"GET", b"/livez") == 200

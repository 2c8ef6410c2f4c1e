"""The server itself: methods, malformed requests, its command, and how that ends."""

import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from gaia_checks import cli
from gaia_checks.serve import page_server
from tests.promotion.ground import PHASE, make
from tests.serve.conftest import TOKEN, Start, gated
from tests.support import plain_http

EXPORT = "export GAIA_SERVE_TOKEN, 16 characters or more, or leave out --host"
FIT = "16 or more printable ASCII characters; make one with: openssl rand -hex 16"


def raw(port: int, request: bytes) -> bytes:
    """Send bytes and return the whole answer."""
    with socket.create_connection(("127.0.0.1", port), 30) as connection:
        connection.sendall(request)
        connection.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: connection.recv(65536), b""))


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "PROPFIND"])
def test_only_get_and_head_are_answered(start: Start, method: str) -> None:
    """Every other method is refused on every path, before anything else is looked at."""
    wall = start(gated(), host="0.0.0.0", token=TOKEN)
    answer = raw(wall.port, f"{method} / HTTP/1.1\r\nHost: h\r\n\r\n".encode())
    head, _, body = answer.partition(b"\r\n\r\n")
    assert (head.split()[1], body) == (b"405", b"only GET and HEAD\n")
    assert b"Allow: GET, HEAD" in head


def test_head_has_the_headers_and_no_body(start: Start) -> None:
    """The length is that of the page."""
    wall = start(gated())
    answer = plain_http.head(wall.url)
    assert (answer.status_code, answer.content) == (200, b"")
    assert int(answer.headers["content-length"]) > 1000


MALFORMED = [
    b"", b"GET\r\n\r\n", b"\x00\xff\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"<b>x y z\r\n\r\n",
    b"GET /" + b"x" * 70_000, b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 200 + b"\r\n",
    b"GET http://evil.test/ HTTP/1.1\r\nHost: localhost\r\n\r\n",
]  # fmt: skip


@pytest.mark.parametrize("request_line", MALFORMED)
def test_a_malformed_request_shows_nothing_and_stops_nothing(start: Start, request_line: bytes) -> None:
    """It is refused as plain text, and the next reader gets the page."""
    wall = start(gated())
    answer = raw(wall.port, request_line)
    assert b"phase-11.4" not in answer
    assert b"<b>" not in answer
    assert b"Python" not in answer
    assert wall.get("/").status_code == 200


def test_who_opens_many_connections_keeps_nobody_out_for_good(start: Start) -> None:
    """More than the limit are closed at once; when they go the page is there again."""
    wall = start(gated())
    silent = [socket.create_connection(("127.0.0.1", wall.port), 30) for _ in range(page_server._MOST)]  # noqa: SLF001
    one_more = socket.create_connection(("127.0.0.1", wall.port), 30)
    assert one_more.recv(1) == b""
    for each in (*silent, one_more):
        each.close()
    for _ in range(100):  # each thread notices for itself that its client is gone
        try:
            assert wall.get("/").status_code == 200
        except httpx.TransportError:
            continue
        return
    pytest.fail("the page did not come back")


def test_a_port_in_use_is_one_line_and_exit_code_4(capsys: pytest.CaptureFixture[str]) -> None:
    """It names another port."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert cli.run(["serve", "--port", str(port)]) == 4
    error = capsys.readouterr().err
    assert error == f"gaia: serve: port {port} of 127.0.0.1 is in use; give another: --port {port + 1}\n"


@pytest.mark.parametrize(
    ("host", "token", "message"),
    [
        ("0.0.0.0", "", f"serve: 0.0.0.0 is reachable from other machines; {EXPORT}"),
        ("127.0.0.1", "short-canary", f"serve: GAIA_SERVE_TOKEN is not {FIT}"),
        ("no such host", "", "serve: --host: 'no such host' is no address of this machine; give e.g. 0.0.0.0"),
        ("192.0.2.1", TOKEN, "serve: cannot listen on 192.0.2.1 port 8720: Cannot assign requested address"),
    ],
)  # fmt: skip
def test_what_cannot_be_served_is_one_line(
    host: str, token: str, message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 4, and the token is not repeated."""
    monkeypatch.setenv("GAIA_SERVE_TOKEN", token)
    assert cli.run(["serve", "--host", host]) == 4
    assert capsys.readouterr().err == f"gaia: {message}\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_command_serves_the_real_overview_until_it_is_stopped(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A release that was gated in dev, from the statements on its remote; then one line and exit code 0."""
    ground = make(tmp_path, monkeypatch)
    run = ground.gate().name
    (ground.environment("dev").reports / "dev" / run / "report.html").write_text("the report")
    command = (sys.executable, "-m", "gaia_checks.cli", "serve", "--port", "0", "--remote", ground.origin.url)
    monkeypatch.setenv("GAIA_SERVE_TOKEN", TOKEN)
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            line = process.stdout.readline()
            address = re.fullmatch(
                r"serving (http://127\.0\.0\.1:\d+/) until Ctrl-C; open it once with \?token=.*\n", line
            )
            assert address, line
            with httpx.Client(headers={"Authorization": f"Bearer {TOKEN}"}, base_url=address[1], timeout=60) as client:
                while (found := client.get("/status.json")).status_code == 503:  # each waits for the first reading
                    assert "the first reading takes long" in found.text
                dev = next(row for row in found.json() if row["environment"] == "dev")
                assert (dev["phase"], dev["verdict"]["state"], dev["verdict"]["run"]) == (PHASE, "pass", run)
                assert f'href="/reports/dev/{run}/report.html"' in client.get("/").text
                assert client.get(f"/reports/{dev['verdict']['report']}").text == "the report"
            process.send_signal(number)
            out, error = process.communicate(timeout=60)
        finally:
            process.kill()
    assert (process.returncode, out, error) == (0, "stopped\n", "")
    assert TOKEN not in line

"""The process: starting, stopping, handed-over sockets, the executable."""

import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from gaia_server import __version__
from tests.gaia_server.conftest import ROOT, Running, poll
from tests.support import plain_http

COMMAND = (sys.executable, "-m", "gaia_server")
DSN = "postgresql://gaia:canary-password@127.0.0.1:1/gaia"


def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the server until it exits by itself."""
    environment = {"PATH": os.environ["PATH"], **variables}
    return subprocess.run(
        (*COMMAND, *arguments), cwd=ROOT, env=environment, capture_output=True, text=True, timeout=20, check=False
    )


def test_version() -> None:
    """`--version` needs no settings."""
    done = run("--version")
    assert (done.returncode, done.stdout) == (0, f"gaia_server {__version__}\n")


def test_bad_input() -> None:
    """Each error is one line with the expected value, and exit code 4."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        for arguments, variables, message in (
            ((), {}, "DATABASE_URL: not set"),
            (("--port", "1"), {}, "--port: unknown argument; the only option is --version"),
            ((), {"DATABASE_URL": DSN, "PORT": "x"}, "PORT: 'x' is not a port"),
            (
                (),
                {"DATABASE_URL": DSN, "PORT": port},
                f"PORT: cannot listen on 127.0.0.1:{port}: Address already in use",
            ),
            ((), {"DATABASE_URL": DSN, "PORT": port, "ADMIN_TOKEN": "canary-of-15-ch"}, "ADMIN_TOKEN: shorter than 16"),
            ((), {"DATABASE_URL": DSN, "LISTEN_FDS": "3"}, "LISTEN_FDS: '3' must be 1"),
            ((), {"DATABASE_URL": DSN, "LISTEN_FDS": "1"}, "LISTEN_FDS: file descriptors from 3 on are not sockets"),
        ):
            done = run(*arguments, **variables)
            assert done.returncode == 4
            assert done.stderr.count("\n") == 1
            assert message in done.stderr
            assert "canary" not in done.stderr


def test_sigterm(own: Running) -> None:
    """SIGTERM closes WebSockets with 1012; the process exits with 0 and logs no error."""
    with connect(own.websocket_url, additional_headers=own.bearer) as websocket:
        websocket.recv(timeout=5)
        started = time.monotonic()
        own.process.send_signal(signal.SIGTERM)
        with suppress(ConnectionClosed):
            for _ in websocket:
                pass
        assert websocket.close_code == 1012
    assert own.process.wait(10) == 0
    assert time.monotonic() - started < 10
    lines = own.lines()
    assert [line["msg"] for line in lines] == ["serving", "stopping"]
    assert {line["level"] for line in lines} == {"info"}


def test_without_database(tmp_path: Path) -> None:
    """Without a database the server starts, reports itself unhealthy, and logs neither an error nor the password."""
    log = tmp_path / "log"
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {"PATH": os.environ["PATH"], "DATABASE_URL": DSN, "PORT": str(port)}
    with log.open("wb") as file, subprocess.Popen(COMMAND, cwd=ROOT, env=environment, stderr=file) as process:
        try:
            health = poll(lambda: _answer(f"http://127.0.0.1:{port}/health"))
            assert health.status_code == 503
        finally:
            process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
    assert "canary" not in log.read_text()
    assert {json.loads(line)["level"] for line in log.read_text().splitlines()} == {"info", "warning"}


def _answer(url: str) -> httpx.Response | None:
    try:
        return plain_http.get(url)
    except httpx.TransportError:
        return None


@pytest.fixture
def sockets() -> list[socket.socket]:
    """A public and a private listening socket."""
    found = [socket.socket(), socket.socket()]
    for one in found:
        one.bind(("127.0.0.1", 0))
        one.listen()
    return found


def test_executable_with_handed_over_sockets(
    executable: Path, schema: str, sockets: list[socket.socket], tmp_path: Path
) -> None:
    """The built file serves on both sockets, and reports its own sha256."""
    ports = [one.getsockname()[1] for one in sockets]
    # The descriptors must be 3 and 4 and LISTEN_PID the server's pid: a shell sets both and becomes the server.
    script = f'exec 3<&{sockets[0].fileno()} 4<&{sockets[1].fileno()}; LISTEN_PID=$$ exec "$0" "$1"'
    variables = {"DATABASE_URL": schema, "LISTEN_FDS": "2", "SHIV_ROOT": str(tmp_path)}
    process = subprocess.Popen(
        ("bash", "-c", script, sys.executable, str(executable)),
        env={"PATH": os.environ["PATH"], **variables},
        pass_fds=[one.fileno() for one in sockets],
        stderr=subprocess.DEVNULL,
    )
    for one in sockets:
        one.close()
    try:
        found = [plain_http.get(f"http://127.0.0.1:{port}/health", timeout=30).json() for port in ports]
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
    assert {health["digest"] for health in found} == {hashlib.sha256(executable.read_bytes()).hexdigest()}


def test_an_exposed_server_needs_a_token() -> None:
    """A server with a handed-over socket that other machines reach does not start without a token."""
    with socket.socket() as public:
        public.bind(("0.0.0.0", 0))
        script = f'exec 3<&{public.fileno()}; exec "$@"'
        done = subprocess.run(
            ("bash", "-c", script, "sh", *COMMAND),
            cwd=ROOT,
            env={"PATH": os.environ["PATH"], "DATABASE_URL": DSN, "LISTEN_FDS": "1"},
            pass_fds=[public.fileno()],
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
    assert (done.returncode, done.stderr.count("\n")) == (4, 1)
    assert "ADMIN_TOKEN: not set, and other machines reach the server at 0.0.0.0" in done.stderr


def test_sockets_for_another_process_are_ignored() -> None:
    """Sockets are used only when LISTEN_PID is the server's pid."""
    done = run(DATABASE_URL=DSN, LISTEN_FDS="2", LISTEN_PID="1", PORT="0")
    assert "PORT: '0' is not a port" in done.stderr

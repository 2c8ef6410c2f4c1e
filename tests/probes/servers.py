"""Servers under test: the real one, any ASGI application, and the real one behind a fault."""

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from gaia_checks.deploy.state import supervisor_state
from gaia_checks.deploy.supervisor.spawn import free_port
from gaia_checks.environment.project import ROOT
from gaia_checks.model import LogLocation, Process, Target
from tests.support import plain_http
from tests.support.certificates import Certificate

RUN = "20260226T100000Z-3fa9c1"
TOKEN = "a-token-for-tests"
_DEADLINE_S = 15.0

Spoil = Callable[[Request, Response], Response]


def target(url: str, **fields: Any) -> Target:
    """A target of which only `url` is known."""
    return Target(environment="test", base_url=url, run=RUN, **fields)


def known(pid: int, artifact: Path) -> Process:
    """The process with this pid, as a deployment would record it."""
    found = supervisor_state.of(pid)
    return Process(found.pid, found.birth, found.created_s, artifact)


@contextmanager
def real(executable: Path, dsn: str, log: Path, **changes: str) -> Iterator[Target]:
    """Run the real server on a database, with further variables if any, and yield it as a target."""
    port = free_port()
    variables = {"DATABASE_URL": dsn, "PORT": str(port), "RATE_LIMIT_ENABLED": "true", "ADMIN_TOKEN": TOKEN, **changes}
    with log.open("wb") as errors:
        process = subprocess.Popen(
            [sys.executable, str(executable)], env={**os.environ, **variables}, stdout=errors, stderr=errors
        )
    try:
        found = known(process.pid, executable)
        url = f"http://127.0.0.1:{port}"
        _until_answering(f"{url}/health", log)
        token = variables["ADMIN_TOKEN"] or None
        yield target(url, process=found, log=LogLocation(str(log)), admin_token=token, database_url=dsn)
    finally:
        process.terminate()
        process.wait(_DEADLINE_S)


def _until_answering(url: str, log: Path) -> None:
    deadline = time.monotonic() + _DEADLINE_S
    while True:
        try:
            if plain_http.get(url, trust_env=False).status_code == 200:
                return
        except httpx.TransportError:
            pass
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.05)


@contextmanager
def serving(*routes: BaseRoute) -> Iterator[str]:
    """Serve routes over real HTTP and return the address."""
    config = uvicorn.Config(
        Starlette(routes=list(routes)), log_level="critical", ws="websockets-sansio", lifespan="off"
    )
    config.load()
    server = uvicorn.Server(config)
    listener = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(_DEADLINE_S)
        listener.close()


@contextmanager
def spoiled(behind: Target, spoil: Spoil) -> Iterator[Target]:
    """Run a real server behind a layer that changes its answers."""
    with httpx.Client(base_url=behind.base_url, trust_env=False) as http:

        def forward(request: Request, body: bytes) -> Response:
            headers = {name: value for name, value in request.headers.items() if name != "host"}
            path = request.url.path + (f"?{request.url.query}" if request.url.query else "")
            answer = http.request(request.method, path, content=body, headers=headers)
            kept = {name: value for name, value in answer.headers.items() if name not in ("content-length", "server")}
            return spoil(request, Response(answer.content, answer.status_code, kept))

        async def handle(request: Request) -> Response:
            return forward(request, await request.body())

        methods = ["GET", "POST", "PUT", "DELETE"]
        with serving(Route("/{path:path}", handle, methods=methods)) as url:
            yield target(url, admin_token=behind.admin_token, database_url=behind.database_url)


@contextmanager
def secured(behind: Target, certificate: Certificate) -> Iterator[Target]:
    """Run a TLS terminator before a real server, at the IPv6 address of this machine."""
    port = free_port()
    command = ("tests.probes.terminator", str(port), certificate.own, certificate.key, behind.base_url)
    process = subprocess.Popen([sys.executable, "-m", *command], cwd=ROOT, stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        yield replace(behind, base_url=f"https://[::1]:{port}")
    finally:
        process.kill()
        process.communicate()


def answering(path: str, body: object, status: int = 200, media: str = "application/json") -> Route:
    """A route that always answers the same."""
    content = body if isinstance(body, str) else json.dumps(body)

    async def handle(_: Request) -> Response:
        return Response(content, status, media_type=media)

    return Route(path, handle)


HEALTHY = {"status": "healthy", "version": "1", "digest": "0" * 64, "checks": {"database": {"status": "connected"}}}

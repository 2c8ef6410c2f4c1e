#!/usr/bin/env python3
"""A minimal gaia_server that passes verification, with a configurable behaviour; a copy of this file is executed."""

import asyncio
import hashlib
import json
import os
import signal
import socket
import sys
import time
from http import HTTPStatus
from pathlib import Path

from websockets.asyncio.server import ServerConnection, serve
from websockets.datastructures import Headers
from websockets.http11 import Request, Response

# "crash", "raise", "deaf", "broken", "no-config", "stubborn", "liar", "shy", "chatty", "keeper";
# "wait /a/path": until it exists
BEHAVIOUR = "serve"
VERSION = "1"

DIGEST = hashlib.sha256(Path(sys.argv[0]).read_bytes()).hexdigest()


def answer(_: ServerConnection, request: Request) -> Response | None:
    """Answer plain requests; pass WebSocket handshakes on."""
    path = request.path
    if path.startswith("/ws/"):
        return None
    if path == "/environ":
        return reply(200, dict(os.environ))
    if BEHAVIOUR == "broken":
        return reply(500, "no \x1b[31mdatabase\n\u202ebehind it")
    if path in ("/readyz", "/health"):
        body = {
            "status": "healthy",
            "version": VERSION,
            "digest": "0" * 64 if BEHAVIOUR == "liar" else DIGEST,
            "pid": os.getpid(),
        }
        return reply(503 if BEHAVIOUR == "deaf" else 200, body)
    if path == "/api/admin/quotas/config" and BEHAVIOUR != "no-config":
        return reply(200, {"items": []})
    return reply(404, {})


def reply(status: int, body: object) -> Response:
    """Build a JSON response."""
    data = (body if isinstance(body, str) else json.dumps(body)).encode()
    headers = Headers({"Content-Type": "application/json", "Content-Length": str(len(data)), "Connection": "close"})
    return Response(status, HTTPStatus(status).phrase, headers, data)


async def stats(connection: ServerConnection) -> None:
    """Send one message and keep the connection open."""
    await connection.send(json.dumps({"type": "stats", "timestamp": "", "seq": 1, "data": {}}))
    await connection.wait_closed()


async def chat() -> None:
    """Write to the log as long as it runs."""
    while True:
        sys.stderr.write("small talk\n")
        sys.stderr.flush()
        await asyncio.sleep(0.002)


def passed(descriptor: int) -> socket.socket:
    """Return a socket that was passed; a keeper moves it to where nobody looks for it."""
    found = socket.socket(fileno=descriptor)
    if BEHAVIOUR == "keeper":
        found, original = found.dup(), found
        original.close()
    return found


async def main() -> None:
    """Serve on the sockets that were passed until SIGTERM."""
    if int(os.environ["LISTEN_PID"]) != os.getpid():
        sys.exit("LISTEN_PID names another process")
    stopping = asyncio.Event()
    if BEHAVIOUR == "stubborn":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    else:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    servers = [
        await serve(stats, sock=each, process_request=answer)
        for each in [passed(descriptor) for descriptor in range(3, 3 + int(os.environ["LISTEN_FDS"]))]
    ]
    sys.stderr.write(json.dumps({"level": "info", "msg": "serving", "version": VERSION}) + "\n")
    chatting = asyncio.create_task(chat()) if BEHAVIOUR == "chatty" else None
    await stopping.wait()
    if chatting:
        chatting.cancel()
    for server in servers:
        server.server.close()  # accepts no more connections; accepted ones are answered
    await asyncio.sleep(0.05)  # until the last accepted connection has its handler
    if handlers := [task for server in servers for task in server.handler_tasks]:
        await asyncio.wait(handlers, timeout=1)


while BEHAVIOUR.startswith("wait ") and not Path(BEHAVIOUR.removeprefix("wait ")).exists():
    time.sleep(0.05)
if BEHAVIOUR == "crash":
    sys.exit("the configuration is not to my liking")
if BEHAVIOUR == "raise":
    trace = "Traceback (most recent call last):\n  File \"settings.py\", line 7, in read\nKeyError: 'PORT'"
    sys.exit(json.dumps({"level": "error", "msg": "start failed", "logger": "x" * 300, "exception": trace}))
if BEHAVIOUR == "shy" and os.environ["LISTEN_FDS"] == "2":
    sys.exit("not in public")
asyncio.run(main())

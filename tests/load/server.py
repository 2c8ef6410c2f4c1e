"""A server with injected faults: `python -m tests.load.server PORT '{"stall": [2, 1]}'`.

It speaks HTTP/1.1 with keep-alive over asyncio. Its behaviour is a function of the seconds since the first
request, so that a test knows what the load must measure:

    stall       [at, for]: delays all responses in that interval until its end
    fail        [at, for]: answers 500 in that interval
    bad_body    [at, for]: answers 200 with a body that is not JSON
    refuse      [at, for]: closes every connection without a response
    silent      [at, for]: never answers a request that arrived in that interval
    idle_s      seconds after which an idle connection is closed
    status      the status of every response
    headers     more header lines of every response
    tls         [certificate, key]: the files for TLS
    host        the address where it listens, if that is not 127.0.0.1

`GET /ready` is not counted and returns the number of requests per method.
"""

import asyncio
import json
import ssl
import sys
import time
from typing import Any

BODY = b'{"status": "healthy", "version": "1", "checks": {}, "items": [], "total": 0, "id": 7, "rule_name": "ours"}'


class Server:
    """The server and its state."""

    def __init__(self, faults: dict[str, Any]) -> None:
        """`faults` maps each fault to its interval."""
        self.faults = faults
        self.first: float | None = None
        self.requests: dict[str, int] = {}  # method -> requests

    def _during(self, fault: str) -> float:
        """Return the seconds until the end of a fault's interval, 0 outside of it."""
        assert self.first is not None
        at, length = self.faults.get(fault, (0, 0))
        since = time.monotonic() - self.first
        return at + length - since if at <= since < at + length else 0.0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection until it has been idle too long."""
        try:
            while await self._one(reader, writer):
                pass
        except (TimeoutError, ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), self.faults.get("idle_s", 60))
        length = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
        if length:
            await reader.readexactly(int(length[0].split(b":")[1]))
        if head.startswith(b"GET /ready"):
            body = json.dumps(self.requests).encode()
            writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
            return True
        method = head.split(b" ")[0].decode()
        self.requests[method] = self.requests.get(method, 0) + 1
        if self.first is None:
            self.first = time.monotonic()
        if self._during("refuse"):
            return False
        if self._during("silent"):
            await asyncio.sleep(60)
        await asyncio.sleep(self._during("stall"))
        good = 201 if method == "POST" else 200
        status = 500 if self._during("fail") else self.faults.get("status", good)
        body = b"not json" if self._during("bad_body") else BODY
        writer.write(
            f"HTTP/1.1 {status} X\r\n{self.faults.get('headers', '')}Content-Length: {len(body)}\r\n\r\n".encode()
            + body
        )
        await writer.drain()
        return True


async def main() -> None:
    """Serve until killed."""
    server, tls = Server(json.loads(sys.argv[2])), None
    if "tls" in server.faults:
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(*server.faults["tls"])
    host, port = server.faults.get("host", "127.0.0.1"), int(sys.argv[1])
    async with await asyncio.start_server(server.serve, host, port, backlog=1000, ssl=tls) as listening:
        await listening.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())

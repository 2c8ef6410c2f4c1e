"""One request on its own connection, to servers with all kinds of answers."""

import asyncio
import math
from collections.abc import Awaitable, Callable

import pytest

from gaia_checks.deploy.supervisor.spawn import free_port
from gaia_checks.recorders.limits import request
from gaia_checks.recorders.limits.request import Endpoint, TimedResponse
from tests.probes.servers import target

Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def send_once(answer: Answer | None, *, base: str = "", token: str | None = None) -> tuple[float, TimedResponse, str]:
    """Send once; return the send time, the reply, and the request as received."""
    came: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        came.append(await reader.readuntil(b"\r\n\r\n"))
        assert answer is not None
        await answer(reader, writer)
        writer.close()

    async def sent() -> tuple[float, TimedResponse]:
        server = await asyncio.start_server(serve, "127.0.0.1", 0) if answer else None
        port = server.sockets[0].getsockname()[1] if server else free_port()
        endpoint = Endpoint(target(f"http://127.0.0.1:{port}{base}", admin_token=token), "/api/nothing")
        one = await endpoint.open("key-1")
        one.send()
        await one.wait()
        one.close()
        if server:
            server.close()
            await server.wait_closed()
        assert one.reply is not None
        return one.sent_s, one.reply

    sent_s, reply = asyncio.run(sent())
    return sent_s, reply, b"".join(came).decode()


def saying(*pieces: bytes) -> Answer:
    """Answer in pieces."""

    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()

    return answer


@pytest.mark.parametrize(
    ("pieces", "headers"),
    [
        ((b"HTTP/1.1 404 Not Found\r\nRateLimit: a\r\nContent-Length: 2\r\n\r\nno",), {"ratelimit": "a"}),
        ((b"HTTP/1.1 404 Not", b" Found\r\nX-A: 1\r\nX-a: 2\r\ncontent-length: 0\r\n\r\n"), {"x-a": "1, 2"}),
        ((b"HTTP/1.1 404 N\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nno\r\n0\r\n\r\n",), {}),
        ((b"HTTP/1.1 103 Early\r\nX-Early: 1\r\n\r\nHTTP/1.1 404 N\r\nContent-Length: 0\r\n\r\n",), {}),
    ],
    ids=["whole", "in pieces", "in chunks", "after an interim one"],
)
def test_an_answer_is_read_whatever_its_framing(pieces: tuple[bytes, ...], headers: dict[str, str]) -> None:
    """A reply has its status, its headers, and the time when it was complete."""
    sent_s, reply, _ = send_once(saying(*pieces))
    assert (reply.status, reply.why) == (404, "")
    assert sent_s < reply.received_s < sent_s + 5
    assert headers.items() <= reply.headers.items()
    assert "x-early" not in reply.headers


def test_a_request_carries_key_and_token() -> None:
    """A request carries the key, the token, and the path below the target's."""
    _, _, came = send_once(saying(b"HTTP/1.1 404 N\r\nContent-Length: 0\r\n\r\n"), base="/gaia", token="secret-token")
    lines = came.split("\r\n")
    assert lines[0] == "GET /gaia/api/nothing HTTP/1.1"
    assert {"X-API-Key: key-1", "Authorization: Bearer secret-token", "Connection: close"} <= set(lines)


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (None, "cannot connect: "),
        (saying(), "the connection was closed without an answer"),
        (saying(b"HTTP/1.1 404 N\r\nContent-Length: 10\r\n\r\nno"), "the connection was closed without an answer"),
        (saying(b"SSH-2.0\r\n\r\n"), "invalid HTTP response: "),
    ],
    ids=["no listener", "nothing", "half an answer", "not HTTP"],
)
def test_no_answer_has_a_reason(answer: Answer | None, why: str) -> None:
    """A request without an answer has a reason and no receive time."""
    _, reply, _ = send_once(answer)
    assert (reply.status, reply.received_s) == (None, math.inf)
    assert reply.why.startswith(why)


def test_a_server_that_says_nothing_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """No answer within the time limit is a failure."""
    monkeypatch.setattr(request, "READ_S", 0.1)

    async def silence(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read()

    _, reply, _ = send_once(silence)
    assert reply.why == "no answer within 0.1 s"

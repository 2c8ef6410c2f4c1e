"""The inputs: grammar first, then damage. One seed and number always give the same input."""

import itertools
import struct
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

HOST = b"Host: localhost\r\n"
LAST = b"GET /livez HTTP/1.1\r\nConnection: close\r\n" + HOST + b"\r\n"
HANDSHAKE = (
    b"GET /ws/admin/quotas HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" + HOST + b"\r\n"
)

METHODS = (
    b"GET",
    b"GET",
    b"POST",
    b"PUT",
    b"DELETE",
    b"OPTIONS",
    b"HEAD",
    b"CONNECT",
    b"PATCH",
    b"PRI",
    b"get",
    b"",
    b"G\x00T",
)
TARGETS = (
    b"/", b"/livez", b"/livez", b"/health", b"/metrics", b"/openapi.json", b"/admin/quotas", b"/ws/admin/quotas", b"*",
    b"/api/admin/quotas/config?limit=1", b"/api/admin/quotas/users/%00", b"/%ff%fe/../..//", b"/?%", b"//evil/x", b"",
    b"http://localhost/livez", b"http://a@b:99999/", b"HTTP://[::1", b"localhost:80", b"/\xff\xc3", b"/a b", b"/#?#",
)  # fmt: skip
VERSIONS = (
    b"HTTP/1.1",
    b"HTTP/1.1",
    b"HTTP/1.1",
    b"HTTP/1.0",
    b"HTTP/0.9",
    b"HTTP/2.0",
    b"HTTP/1.10",
    b"http/1.1",
    b"",
)
HEADERS: dict[bytes, tuple[bytes, ...]] = {
    b"Host": (b"localhost", b"127.0.0.1:80", b"evil@localhost", b"a, b", b"[::1]:1", b"", b"\xc3\xa9", b"[", b"a:b:c"),
    b"Content-Length": (b"0", b"5", b"17", b"-1", b"+5", b"5, 5", b"0x5", b"99999999999999999999", b"5 5", b""),
    b"Transfer-Encoding": (b"chunked", b"gzip, chunked", b"chunked, chunked", b"identity", b"\x0bchunked", b"xchunked"),
    b"Connection": (b"close", b"keep-alive", b"Upgrade", b"upgrade, HTTP2-Settings", b"close, upgrade", b"host"),
    b"Upgrade": (b"h2c", b"websocket", b"WebSocket", b"TLS/1.0", b"h2c, websocket", b"", b"\xff"),
    b"Sec-WebSocket-Key": (b"dGhlIHNhbXBsZSBub25jZQ==", b"x", b"", b"\xff" * 24),
    b"Sec-WebSocket-Version": (b"13", b"8", b"13, 8", b"-1", b""),
    b"Sec-WebSocket-Extensions": (b"permessage-deflate", b"permessage-deflate; client_max_window_bits=99", b";;,"),
    b"Sec-WebSocket-Protocol": (b"a, b", b",", b"\x7f"),
    b"Expect": (b"100-continue", b"200-ok"),
    b"Content-Type": (b"application/json", b"text/plain", b"application/json; charset=\xff", b"multipart/form-data"),
    b"X-Forwarded-For": (b"192.0.2.7:1", b"[::1]:1", b"unknown", b"," * 2000, b"fe80::1%eth0", b"\xff", b"1" * 5000),
    b"Forwarded": (b"for=192.0.2.7", b'for="[::1]:1";host=a;proto=https', b'for="', b"for=_x", b";,=", b'for="\\'),
    b"X-Forwarded-Host": (b"localhost", b"evil.example", b"[", b"\xff", b"a:x"),
    b"X-Forwarded-Proto": (b"https", b"\xff", b""),
    b"Via": (b"1.1 proxy",),
    b"Origin": (b"null", b"http://localhost", b"http://[", b"http://a:x", b"\xff", b""),
    b"Cookie": (b"gaia_session=..", b"gaia_session=9.a.b", b"=;=;", b"\xff", b"a" * 3000),
    b"Authorization": (b"Bearer x", b"Bearer \xff", b"Basic", b""),
    b"X-User-ID": (b"ada", b"\xff", b"x" * 300, b"\x00"),
    b"X-API-Key": (b"k", b"\xff", b""),
    b"If-None-Match": (b"*", b'"', b"W/"),
    b"": (b"x", b""),
}  # fmt: skip
ENDS = (b"\r\n",) * 12 + (b"\n", b"\r", b"\r\n ", b"\r\r\n", b"\x00\r\n")
BODIES = (
    b"",
    b"hello",
    b'{"token":"wrong"}',
    b"5\r\nhello\r\n0\r\n\r\n",
    b"5;a=b\r\nhello\r\n0\r\nX-User-ID: a\r\n\r\n",
    b"g\r\n",
    LAST,
)
TOKENS = (
    b"\r\n",
    b"\n",
    b"\r\n\r\n",
    b"\x00",
    b":",
    b" ",
    b"\t",
    b"\xff",
    b"%",
    b"chunked",
    b"Upgrade: h2c\r\n",
    b"0\r\n\r\n",
    HOST,
)


@dataclass(frozen=True)
class Input:
    """The bytes for one connection, in the parts in which they are sent."""

    parts: tuple[bytes, ...]
    responses: int | None = None  # how many there must be; None: any number


def http_head(random: Random) -> Input:
    """Return a few requests, most of them damaged somewhere."""
    sent = b"".join(_request(random) for _ in range(random.choice((1, 1, 1, 2, 3))))
    if random.random() < 0.3:
        sent = _damaged(random, sent)
    return Input(_cut(random, sent + b"\r\n\r\n" + LAST))


def framed_bodies(random: Random) -> Input:
    """Return valid requests whose bodies look like requests, with upgrades that must be ignored."""
    count = random.randint(1, 5)
    sent = b"".join(_framed(random) for _ in range(count)) + LAST
    return Input(_cut(random, sent), count + 1)


def websocket_frames(random: Random) -> Input:
    """Return a handshake, and frames that are valid, invalid or damaged."""
    sent = b"".join(_frame(random) for _ in range(random.choice((1, 2, 5, 20))))
    if random.random() < 0.5:
        sent = _damaged(random, sent)
    close = b"\x88\x82\x00\x00\x00\x00\x03\xe8"
    return Input((HANDSHAKE, *_cut(random, sent + close)))


KINDS: dict[str, Callable[[Random], Input]] = {
    "HTTP heads": http_head,
    "framed bodies": framed_bodies,
    "WebSocket frames": websocket_frames,
}


def made(kind: str, seed: int, number: int) -> Input:
    """Return one input."""
    return KINDS[kind](Random(f"{kind} {seed} {number}"))  # noqa: S311 - to be repeatable, not secret


def _request(random: Random) -> bytes:
    """Return a request; most are valid in most respects, so that some reach the application."""
    version = b"HTTP/1.1" if random.random() < 0.9 else random.choice(VERSIONS)
    method = random.choice(METHODS[:7] if random.random() < 0.9 else METHODS)
    hosts = [b"Host: localhost"] if random.random() < 0.95 else []
    ends = ENDS[:1] if random.random() < 0.9 else ENDS
    colons = (b": ",) if random.random() < 0.9 else (b":", b" : ")
    names = random.choices(list(HEADERS), k=random.choice((0, 1, 1, 2, 4)))
    headers = [name + random.choice(colons) + random.choice(HEADERS[name]) for name in names]
    lines = [b" ".join((method, random.choice(TARGETS), version)), *hosts, *headers, b""]
    body = random.choice(BODIES) if random.random() < 0.3 else b""
    return b"".join(line + random.choice(ends) for line in lines) + body


def _framed(random: Random) -> bytes:
    method, path = random.choice(((b"GET", b"/livez"), (b"POST", b"/admin/login"), (b"PUT", b"/nothing")))
    upgrade = random.choice((b"h2c", b"websocket", b"TLS/1.3", b"h2c, websocket"))
    lines = [HOST, b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: " + upgrade + b"\r\n"]
    body = random.choice((LAST, LAST * 3, random.randbytes(random.randint(1, 3000))))
    if random.random() < 0.5:
        lines.append(f"Content-Length: {len(body)}\r\n".encode())
    else:
        lines.append(b"Transfer-Encoding: chunked\r\n")
        body = f"{len(body):x}\r\n".encode() + body + b"\r\n0\r\n\r\n"
    random.shuffle(lines)
    return method + b" " + path + b" HTTP/1.1\r\n" + b"".join(lines) + b"\r\n" + body


def _frame(random: Random) -> bytes:
    fin, rsv = random.choice((0x80, 0x80, 0)), random.choice((0, 0, 0, 0, 0x40, 0x10))
    opcode = random.choice((0, 1, 2, 8, 9, 10, 1, 2, 9, 10, random.randrange(16)))
    size = random.choice((0, 1, 2, 5, 125, 126, 200, 4096, 5000))
    masked = 0 if random.random() < 0.05 else 0x80
    if size < 126:
        length = bytes([masked | size])
    else:
        length = bytes([masked | 126]) + struct.pack("!H", random.choice((size, size, size, 65535)))
    if random.random() < 0.02:
        length = bytes([masked | 127]) + random.randbytes(8)
    key = random.randbytes(4) if masked else b""
    return bytes([fin | rsv | opcode]) + length + key + random.randbytes(size)


def _damaged(random: Random, sent: bytes) -> bytes:
    damaged = bytearray(sent)
    for _ in range(random.choice((1, 1, 2, 5))):
        start = random.randrange(len(damaged) + 1)
        end = min(len(damaged), start + random.choice((0, 1, 1, 2, 10, 100)))
        change = random.choice((b"", random.choice(TOKENS), random.randbytes(2), bytes(damaged[start:end]) * 2))
        damaged[start:end] = change
    return bytes(damaged)


def _cut(random: Random, sent: bytes) -> tuple[bytes, ...]:
    cuts = sorted(random.randrange(len(sent) + 1) for _ in range(random.choice((0, 0, 1, 2))))
    bounds = [0, *cuts, len(sent)]
    return tuple(sent[start:end] for start, end in itertools.pairwise(bounds) if start < end)

"""JSON as no client should write it: every route that takes a body refuses it in one readable line."""

import gzip
import json
import re
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from tests.gaia_server.conftest import TOKEN, Running, unique

Written = Callable[[str], str | bytes]


def with_field(text: str) -> Written:
    """Return a writer that appends a field."""
    return lambda good: good[:-1] + ", " + text + "}"


NO_JSON: dict[str, Written] = {
    "nothing": lambda _: "",
    "white space": lambda _: " \r\n\t ",
    "a byte order mark": lambda good: good.encode("utf-8-sig"),
    "UTF-16": lambda good: good.encode("utf-16"),
    "UTF-16 without a mark": lambda good: good.encode("utf-16-be"),
    "UTF-32": lambda good: good.encode("utf-32"),
    "Latin-1": lambda good: with_field('"x": "é"')(good).encode("latin-1"),  # type: ignore[union-attr]
    "half of a pair in bytes": lambda good: good.replace('"', '"\ud800', 1).encode("utf-8", "surrogatepass"),
    "an overlong slash": lambda good: good.encode().replace(b'"', b'"\xc0\xaf', 1),
    "a trailing comma": lambda good: good[:-1] + ",}",
    "a missing end": lambda good: good[:-1],
    "two values": lambda good: good + good,
    "two lines of JSON": lambda good: f"{good}\n{good}\n",
    "a comment": lambda good: "/* none */" + good,
    "single quotes": lambda good: good.replace('"', "'"),
    "a name without quotes": with_field("x: 1"),
    "a NUL behind it": lambda good: good + "\x00",
    "a raw line feed in a string": with_field('"x": "a\nb"'),
    "a raw NUL in a string": with_field('"x": "a\x00b"'),
    "an unknown escape": with_field(r'"x": "\x41"'),
    "NaN": with_field('"x": NaN'),
    "Infinity": with_field('"x": Infinity'),
    "-Infinity": with_field('"x": [-Infinity]'),
    "undefined": with_field('"x": undefined'),
    "True": with_field('"x": True'),
    "a leading zero": with_field('"x": 01'),
    "a plus sign": with_field('"x": +1'),
    "a hexadecimal number": with_field('"x": 0x1F'),
    "a number without decimals": with_field('"x": 1.'),
    "a number of 5,000 digits": with_field(f'"x": {"1" * 5000}'),
    "30,000 arrays": lambda _: "[" * 30_000 + "]" * 30_000,
    "10,000 objects": lambda _: '{"a":' * 10_000 + "1" + "}" * 10_000,
    "60,000 open arrays": lambda _: "[" * 60_000,
    "an XML document": lambda _: "<?xml version='1.0'?><a/>",
    "a form": lambda _: "rule_name=a&scope=ip",
}
"""Refused with 400."""

NO_FIELDS: dict[str, Written] = {
    "null": lambda _: "null",
    "true": lambda _: "true",
    "a number": lambda _: "-0",
    "a number beyond all": lambda _: "1e400",
    "a string": json.dumps,
    "an empty array": lambda _: "[]",
    "an array of it": lambda good: f"[{good}]",
    "an empty object": lambda _: "{}",
    "a field twice": lambda good: good[:-1] + ", " + good[1:],
    "an inner field twice": with_field('"x": {"a": 1, "\\u0061": 2}'),
    "an unknown field": with_field('"x": 1'),
    "a field without a name": with_field('"": 1'),
    "a field of a prototype": with_field('"__proto__": {"enabled": false}'),
    "a name of half a pair": with_field(r'"\ud800": 1'),
    "a name with NUL": with_field(r'"a\u0000b": 1'),
    "a name of 50,000 letters": with_field(f'"{"x" * 50_000}": 1'),
    "arrays in arrays": with_field(f'"x": {"[" * 300 + "]" * 300}'),
}
"""Refused with 422."""

NO_NUMBERS = (
    "1e400", "-1e400", "1e-5", "0.5", "-1", "1" + "0" * 30, "true", "false", "null", '"5"', "[5]", '{"value": 5}',
)  # fmt: skip
NO_TEXTS = ("7", "true", "null", "[]", "{}", '""', r'"a\u0000b"', r'"\ud800"', r'"a\nb"', json.dumps("x" * 301))
NO_BOOLEANS = ("1", "0", "null", '"true"', "[]", "1.0")

KINDS = (
    "", "text/plain", "text/json", "application/jsonp", "application/json, text/plain", "multipart/form-data",
    "application/x-www-form-urlencoded",
)  # fmt: skip

PACKED: dict[str, Written] = {
    "gzip": lambda good: gzip.compress(good.encode()),
    "deflate": lambda good: zlib.compress(good.encode()),
    "GZIP": lambda good: good,  # only claimed
    "br": lambda good: good,
    "identity, gzip": lambda good: good,
}


class Route:
    """A route that takes a body, and a body that it would take."""

    def __init__(self, method: str, path: str, good: dict[str, Any]) -> None:
        self.method, self.path, self.good = method, path, json.dumps(good)

    def replaced(self, field: str, value: str) -> str:
        """The body with another value of a field."""
        return re.sub(rf'("{field}": )("[^"]*"|\w+)', lambda found: found[1] + value, self.good)


@pytest.fixture(scope="module")
def rule_id(server: Running) -> int:
    """A stored rule."""
    return int(server.rule(scope_value="x", limit_value=7)["id"])


@pytest.fixture
def routes(server: Running, rule_id: int) -> list[Route]:
    """Every route that takes a body; the login last."""
    fields = {"scope": "ip", "scope_value": "192.0.2.7", "limit_type": "daily_quota", "limit_value": 5}
    rule = {"rule_name": unique("odd"), **fields, "resource_type": None, "enabled": True}
    return [
        Route("POST", f"{server.home}/config", rule),
        Route("PUT", f"{server.home}/config/{rule_id}", rule),
        Route("PUT", f"{server.home}/users/odd", {"limits": {"daily_quota": 3}}),
        Route("PUT", f"{server.home}/reputation/odd", {"score": 50, "reason": "x", "vip": True}),
        Route("POST", f"{server.base_url}/admin/login", {"token": TOKEN}),
    ]


@pytest.fixture
def unchanged(server: Running, client: httpx.Client, rule_id: int) -> Iterator[None]:
    """Rules, limits and reputations are the same at the end, and the server has logged no error."""

    def found() -> tuple[object, ...]:
        paths = ("/config?limit=200", f"/config/{rule_id}", "/users/odd", "/reputation", "/reputation-events")
        return (*(client.get(path).json() for path in paths), [x for x in server.lines() if x["level"] == "error"])

    before = found()
    yield
    assert found() == before


def assert_refused(client: httpx.Client, route: Route, body: str | bytes, status: int, **headers: str) -> None:
    """A refusal of that status, in one line of printable text."""
    content = body if isinstance(body, bytes) else body.encode()
    headers = {"Content-Type": "application/json", **headers}
    answer = client.request(route.method, route.path, content=content, headers=headers, timeout=20)
    context = (route.method, route.path, content[:80], answer.text)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json"), context
    assert re.fullmatch(r"[ -~]{10,200}", answer.json()["detail"]), context
    assert "set-cookie" not in answer.headers, context


@pytest.mark.usefixtures("unchanged")
def test_what_is_not_json_is_refused(client: httpx.Client, routes: list[Route]) -> None:
    """Also what Python's parser would take: other encodings, a field twice, NaN."""
    for written in NO_JSON.values():
        for route in routes:
            assert_refused(client, route, written(route.good), 400)


@pytest.mark.usefixtures("unchanged")
def test_json_of_another_shape_is_refused(client: httpx.Client, routes: list[Route]) -> None:
    """Every other type, and objects with a field too many or none."""
    for written in NO_FIELDS.values():
        for route in routes:
            assert_refused(client, route, written(route.good), 422)


@pytest.mark.usefixtures("unchanged")
def test_values_of_another_type_are_refused(client: httpx.Client, routes: list[Route]) -> None:
    """Numbers, texts and switches in every field that has another type, or another range."""
    create, replace, limits, reputation, _ = routes
    wrong = [(route, field, value) for route in (create, replace) for field, values in (
        ("limit_value", NO_NUMBERS), ("rule_name", NO_TEXTS), ("scope", NO_TEXTS), ("limit_type", NO_TEXTS),
        ("enabled", NO_BOOLEANS),
    ) for value in values]  # fmt: skip
    wrong += [(limits, "daily_quota", value) for value in NO_NUMBERS]
    wrong += [(reputation, "score", value) for value in NO_NUMBERS]
    wrong += [(reputation, "reason", value) for value in NO_TEXTS]
    wrong += [(reputation, "vip", value) for value in NO_BOOLEANS]
    for route, field, value in wrong:
        assert_refused(client, route, route.replaced(field, value), 422)


@pytest.mark.usefixtures("unchanged")
def test_other_types_and_sizes_are_refused(client: httpx.Client, routes: list[Route]) -> None:
    """Another media type, a compressed body, or one that says so, and a string of 1 MB."""
    for route in routes:
        for kind in KINDS:
            assert_refused(client, route, route.good, 415, **{"Content-Type": kind})
        for coding, written in PACKED.items():
            assert_refused(client, route, written(route.good), 415, **{"Content-Encoding": coding})
        assert_refused(client, route, with_field(f'"x": "{"x" * 1_000_000}"')(route.good), 413)


@pytest.mark.parametrize("value", ["-0", "0.0", "5e0", "5.000"])
def test_whole_numbers_may_be_written_in_any_way(client: httpx.Client, value: str) -> None:
    """As in JSON Schema; what is stored is the number."""
    body = f'{{"rule_name": "{unique("odd")}", "scope": "ip", "scope_value": "192.0.2.7", "limit_type": "daily_quota", '
    answer = client.post(
        "/config", content=body + f'"limit_value": {value}}}', headers={"Content-Type": "application/json"}
    )
    assert answer.status_code == 201, answer.text
    assert f'"limit_value":{int(float(value))},' in answer.text
    client.delete(f"/config/{answer.json()['id']}").raise_for_status()

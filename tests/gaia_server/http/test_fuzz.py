"""A short run of the fuzz; `make bench-fuzz` is the long one."""

import asyncio

import pytest

from benchmarks.fuzz import client, inputs
from benchmarks.fuzz.__main__ import errors
from tests.gaia_server.conftest import Running, Start
from tests.support import plain_http

SEED, EACH = 7, 150


@pytest.fixture
def behind_proxy(start: Start) -> Running:
    """A server that believes every forwarding header."""
    return start(TRUSTED_PROXIES="127.0.0.1", RATE_LIMIT_ENABLED="false")


def test_nothing_but_clean_refusals(behind_proxy: Running) -> None:
    """No random head or frame causes a 5xx, a wrong number of responses or an error in the log."""
    for kind in inputs.KINDS:
        found = asyncio.run(client.send_all(behind_proxy.port, kind, SEED, range(EACH)))
        assert not found.faults
        assert len(found.answers) > 1
    assert plain_http.get(f"{behind_proxy.base_url}/livez").status_code == 200
    assert errors(behind_proxy.log) == []


def test_inputs_are_repeatable() -> None:
    """A seed and a number stand for one input."""
    for kind in inputs.KINDS:
        assert inputs.made(kind, 1, 2) == inputs.made(kind, 1, 2) != inputs.made(kind, 2, 2)


def test_faults_are_found() -> None:
    """An internal error, a missing response and an internal close count as faults."""
    findings = client.Findings()
    findings.add("a", inputs.Input(()), b"HTTP/1.1 500 Internal Server Error\r\n\r\n")
    findings.add("b", inputs.Input((), 2), b"HTTP/1.1 200 OK\r\n\r\n")
    findings.add("c", inputs.Input(()), b"HTTP/1.1 101 Switching Protocols\r\n\r\n\x81\x01a\x88\x02\x03\xf3")
    findings.add("d", inputs.Input(()), b"<html>")
    findings.add("e", inputs.Input((), 1), b"HTTP/1.1 400 Bad Request\r\n\r\n")
    assert findings.faults == ["a: 500", "b: 1 responses instead of 2", "c: close 1011", "d: not HTTP"]

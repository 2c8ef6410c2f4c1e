"""DSSE envelopes, compared with the specification."""

import base64
import json

import pytest

from gaia_checks.errors import EvidenceError
from gaia_checks.promotion.statements import dsse
from gaia_checks.promotion.statements.dsse import Envelope


def test_the_encoding_is_the_specifications() -> None:
    """The test vector of the DSSE specification's protocol."""
    encoded = dsse.pae("http://example.com/HelloWorld", b"hello world")
    assert encoded == b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"


def test_an_envelope_comes_back_as_it_was_written() -> None:
    """Payload and signatures, byte for byte; others can read it, too."""
    made = Envelope(b'{"a": "\\u00f6"}', ("-----BEGIN ...\n",))
    text = dsse.text(made)
    assert dsse.parse(text, "x") == made
    record = json.loads(text)
    assert record["payloadType"] == "application/vnd.in-toto+json"
    assert base64.b64decode(record["payload"]) == made.payload


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"payloadType": "x", "payload": "", "signatures": []}', "[" * 100_000,
     '{"payloadType": "application/vnd.in-toto+json", "payload": "%", "signatures": []}',
     '{"payloadType": "application/vnd.in-toto+json", "payload": "", "signatures": [{}]}',
     '{"payloadType": "application/vnd.in-toto+json", "payload": 1, "signatures": []}'],
)  # fmt: skip
def test_what_is_no_envelope_is_named(text: str) -> None:
    """Whoever can push can push anything."""
    with pytest.raises(EvidenceError, match=r"^x: not a signed statement"):
        dsse.parse(text, "x")

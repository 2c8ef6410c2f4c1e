"""DSSE envelopes (https://github.com/secure-systems-lab/dsse) with SSH signatures. Pure.

What is signed is the payload together with its type (`pae`), so nobody can pass a payload off as one of another type.
"""

import base64
import hashlib
import json
from dataclasses import dataclass
from typing import Any

from gaia_checks.errors import EvidenceError

PAYLOAD_TYPE = "application/vnd.in-toto+json"


@dataclass(frozen=True, slots=True)
class Envelope:
    """A statement as JSON bytes, and its signatures, armoured as ssh-keygen writes them."""

    payload: bytes
    signatures: tuple[str, ...]

    @property
    def digest(self) -> str:
        """The sha256 of the statement: its identity, whoever signed it."""
        return hashlib.sha256(self.payload).hexdigest()

    @property
    def signed(self) -> bytes:
        """The bytes that the signatures are of."""
        return pae(PAYLOAD_TYPE, self.payload)


def pae(payload_type: str, payload: bytes) -> bytes:
    """Return DSSE's pre-authentication encoding."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)


def text(envelope: Envelope) -> str:
    """Return the envelope as JSON text."""
    signatures = [{"sig": base64.b64encode(one.encode()).decode()} for one in envelope.signatures]
    record = {
        "payloadType": PAYLOAD_TYPE,
        "payload": base64.b64encode(envelope.payload).decode(),
        "signatures": signatures,
    }
    return json.dumps(record, indent=2) + "\n"


def parse(content: str, where: str) -> Envelope:
    """Read what `text` wrote. Raises EvidenceError naming `where`."""
    try:
        record: dict[str, Any] = json.loads(content)
        if record["payloadType"] != PAYLOAD_TYPE:
            raise ValueError(f"payloadType is {record['payloadType']!r}")
        signatures = tuple(base64.b64decode(one["sig"], validate=True).decode() for one in record["signatures"])
        return Envelope(base64.b64decode(record["payload"], validate=True), signatures)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise EvidenceError(f"{where}: not a signed statement (a DSSE envelope): {error!r}") from error

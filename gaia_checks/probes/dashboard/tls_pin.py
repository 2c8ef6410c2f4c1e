"""Verifies a server's certificate like every other client, then pins its key for the browser."""

import base64
import hashlib
import socket
import ssl

from gaia_checks.errors import TargetUnreachable
from gaia_checks.target.client import CONNECT_S

_VERSION = 0xA0
_KEY_AT = 5  # after serial number, algorithm, issuer, validity and subject (RFC 5280, 4.1)


def verified_key(host: str, port: int) -> str:
    """Return the fingerprint of the key in the trusted certificate of `host`: SHA-256 in base64.

    Trusted are the system's authorities, or the one that SSL_CERT_FILE names. Raises TargetUnreachable.
    """
    try:
        with (
            socket.create_connection((host, port), CONNECT_S) as connection,
            ssl.create_default_context().wrap_socket(connection, server_hostname=host) as secured,
        ):
            certificate = secured.getpeercert(binary_form=True) or b""
    except OSError as error:
        raise TargetUnreachable(
            f"https://{host}:{port}: {error}; name the authority's certificates in SSL_CERT_FILE if it is your own"
        ) from error
    return fingerprint(certificate)


def fingerprint(certificate: bytes) -> str:
    """Return the fingerprint of the public key inside a certificate (DER). Pure."""
    (_, _, whole), *_ = _elements(certificate)
    (_, _, signed), *_ = _elements(whole)
    fields = [encoded for tag, encoded, _ in _elements(signed) if tag != _VERSION]
    return base64.b64encode(hashlib.sha256(fields[_KEY_AT]).digest()).decode()


def _elements(data: bytes) -> list[tuple[int, bytes, bytes]]:
    """Return the DER elements in order: tag, the whole element, and its content."""
    found, at = [], 0
    while at < len(data):
        size, begin = data[at + 1], at + 2
        if size & 0x80:  # long form: the number of bytes of the size
            begin += size & 0x7F
            size = int.from_bytes(data[at + 2 : begin])
        found.append((data[at], data[at : begin + size], data[begin : begin + size]))
        at = begin + size
    return found

"""Verifies a server's certificate like every other client, then pins its key for the browser."""

import base64
import hashlib
import socket
import ssl

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from gaia_checks.errors import TargetUnreachable
from gaia_checks.target.client import CONNECT_S


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
    key = x509.load_der_x509_certificate(certificate).public_key()
    encoded = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(hashlib.sha256(encoded).digest()).decode()

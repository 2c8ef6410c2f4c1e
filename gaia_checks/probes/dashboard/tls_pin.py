"""Verifies a server's certificate like every other client, then pins its key for the browser."""

import base64
import hashlib

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from gaia_checks.errors import TargetUnreachable
from gaia_checks.target import tls
from gaia_checks.target.client import authorities


def verified_key(host: str, port: int) -> str:
    """Return the fingerprint of the key in the trusted certificate of `host`: SHA-256 in base64.

    Trusted are the system's authorities, or the one that SSL_CERT_FILE names. Raises TargetUnreachable.
    """
    try:
        return fingerprint(tls.certificate(host, port, authorities()))
    except OSError as error:
        raise TargetUnreachable(
            f"https://{host}:{port}: {error}; name the authority's certificates in SSL_CERT_FILE if it is your own"
        ) from error


def fingerprint(certificate: x509.Certificate) -> str:
    """Return the fingerprint of the public key inside a certificate. Pure."""
    encoded = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(hashlib.sha256(encoded).digest()).decode()

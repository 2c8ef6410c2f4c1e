"""TLS handshakes with the target, and the certificate that it presents."""

import socket
import ssl

from cryptography import x509

from gaia_checks.target.client import CONNECT_S


def anybody() -> ssl.SSLContext:
    """Return a context that verifies nothing: only for reading a certificate that was refused. Send nothing with it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def certificate(host: str, port: int, trust: ssl.SSLContext) -> x509.Certificate:
    """Return the certificate that a server presents in a handshake.

    Raises OSError: an ssl.SSLCertVerificationError when the certificate is refused.
    """
    with (
        socket.create_connection((host, port), CONNECT_S) as connection,
        trust.wrap_socket(connection, server_hostname=host) as secured,
    ):
        return x509.load_der_x509_certificate(secured.getpeercert(binary_form=True) or b"")

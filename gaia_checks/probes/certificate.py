"""Whether clients accept the target's certificate, and for how many more days it is valid."""

import ssl
from datetime import UTC, datetime
from urllib.parse import urlsplit

from cryptography import x509

from gaia_checks.errors import TargetUnreachable
from gaia_checks.model import Measurement, Target
from gaia_checks.target import tls
from gaia_checks.target.client import authorities, resolve
from gaia_checks.target.samples import Watch

_DAY_S = 86_400


def probe(target: Target) -> list[Measurement]:
    """Make a TLS handshake that trusts what the gate's clients trust: `certificate.accepted`, `certificate.days_left`.

    A certificate that is refused is read in a second handshake. Raises TargetUnreachable when none succeeds.
    """
    watch, url = Watch(), urlsplit(target.base_url)
    host, port = url.hostname or "", url.port or 443
    resolve(target.base_url)
    try:
        presented, refused = _presented(host, port)
    except OSError as error:
        raise TargetUnreachable(f"{target.base_url}: no TLS handshake: {error}; does it serve https there?") from error
    left_s = (presented.not_valid_after_utc - datetime.now(UTC)).total_seconds()
    how = f"a TLS handshake with {url.netloc}"
    return [
        watch.measurement("certificate.days_left", round(left_s / _DAY_S, 2), "days", 1, how, [_validity(presented)]),
        watch.measurement("certificate.accepted", refused is None, "bool", 1, how, [refused] if refused else []),
    ]


def _presented(host: str, port: int) -> tuple[x509.Certificate, str | None]:
    """Return the certificate, and why clients refuse it; None when they accept it."""
    try:
        return tls.certificate(host, port, authorities()), None
    except ssl.SSLCertVerificationError as error:
        why = f"{error.verify_message}; is the authority your own, name its certificates in SSL_CERT_FILE"
        return tls.certificate(host, port, tls.anybody()), why


def _validity(presented: x509.Certificate) -> str:
    first, last = presented.not_valid_before_utc, presented.not_valid_after_utc
    return (
        f"valid from {first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M} UTC, issued by {presented.issuer.rfc4514_string()}"
    )

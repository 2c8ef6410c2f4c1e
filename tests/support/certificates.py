"""Certificates for tests: of an authority that nobody trusts by itself."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_SIGNS = x509.KeyUsage(*(position == 5 for position in range(9)))  # certificates, and nothing else


@dataclass(frozen=True)
class Certificate:
    """A server's certificate with its key, and the authority that signed it."""

    authority: str
    own: str
    key: str


def make(folder: Path, name: str, *, starts_days: float = -1, ends_days: float = 60) -> Certificate:
    """Make an authority and a certificate of it for a name like `IP:127.0.0.1`, valid between these days from now."""
    authority, own = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    theirs = (
        _builder("us", "us", authority, -30, 365)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(_SIGNS, critical=True)
        .sign(authority, hashes.SHA256())
    )
    ours = (
        _builder("server", "us", own, starts_days, ends_days)
        .add_extension(x509.SubjectAlternativeName([_named(name)]), critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.public_key()), critical=False)
        .sign(authority, hashes.SHA256())
    )
    key = own.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    for file, content in {
        "ca.pem": theirs.public_bytes(Encoding.PEM), "own.pem": ours.public_bytes(Encoding.PEM), "own.key": key,
    }.items():  # fmt: skip
        (folder / file).write_bytes(content)
    return Certificate(*(str(folder / name) for name in ("ca.pem", "own.pem", "own.key")))


def _builder(
    subject: str, issuer: str, key: ec.EllipticCurvePrivateKey, starts_days: float, ends_days: float
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + timedelta(days=starts_days))
        .not_valid_after(now + timedelta(days=ends_days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _named(name: str) -> x509.GeneralName:
    kind, _, value = name.partition(":")
    return x509.IPAddress(ip_address(value)) if kind == "IP" else x509.DNSName(value)

"""Certificates are verified, and pinned by their key."""

import base64
import hashlib
import ssl
import subprocess
from pathlib import Path

import pytest
from cryptography import x509

from gaia_checks.deploy.supervisor.spawn import free_port
from gaia_checks.errors import TargetUnreachable
from gaia_checks.probes.dashboard import tls_pin
from tests.probes import servers
from tests.probes.servers import target
from tests.support import certificates
from tests.support.certificates import Certificate


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    """A certificate for the IPv6 address of this machine."""
    return certificates.make(tmp_path_factory.mktemp("tls"), "IP:::1")


def of_key(pem: str) -> str:
    """The fingerprint of a certificate's public key, by openssl."""
    key = subprocess.run(["openssl", "x509", "-in", pem, "-noout", "-pubkey"], check=True, capture_output=True).stdout
    return base64.b64encode(hashlib.sha256(ssl.PEM_cert_to_DER_cert(_as_certificate(key))).digest()).decode()


def _as_certificate(public_key: bytes) -> str:
    return public_key.decode().replace("PUBLIC KEY", "CERTIFICATE")


def test_the_fingerprint_is_that_of_the_public_key(made: Certificate) -> None:
    """As openssl finds it, for the authority's certificate, too, which has extensions of another kind."""
    for pem in (made.own, made.authority):
        assert tls_pin.fingerprint(x509.load_pem_x509_certificate(Path(pem).read_bytes())) == of_key(pem)


def test_a_certificate_is_verified_first(made: Certificate, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only SSL_CERT_FILE makes this authority trusted."""
    with servers.secured(target("http://127.0.0.1:1"), made) as secured:
        port = int(secured.base_url.rpartition(":")[2])
        with pytest.raises(TargetUnreachable, match=r"certificate verify failed.*SSL_CERT_FILE"):
            tls_pin.verified_key("::1", port)
        monkeypatch.setenv("SSL_CERT_FILE", made.authority)
        assert tls_pin.verified_key("::1", port) == of_key(made.own)


def test_nobody_there_has_no_certificate() -> None:
    """The error names the address."""
    port = free_port()
    with pytest.raises(TargetUnreachable, match=f"https://127.0.0.1:{port}"):
        tls_pin.verified_key("127.0.0.1", port)

"""Tests of TLS: both engines trust only the certificates in SSL_CERT_FILE."""

from pathlib import Path

import pytest

from gaia_checks.load import load_run
from gaia_checks.model import Target
from tests.load.processes import locust, result, server
from tests.load.test_load_run import measured
from tests.support import certificates


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """Create a certificate authority and its certificate for 127.0.0.1; return both."""
    made = certificates.make(tmp_path_factory.mktemp("tls"), "IP:127.0.0.1")
    return made.authority, made.own


@pytest.mark.parametrize("engine", ["locust", "precise"])
def test_a_certificate_of_a_trusted_authority_is_good(
    engine: str, certificate: tuple[str, str], tmp_path: Path
) -> None:
    """Every request succeeds with a trusted certificate."""
    authority, own = certificate
    with server(tls=[own, own.replace(".pem", ".key")]) as url:
        locust("smoke.py", url, "-t", "1s", "--rate", "30", "--engine", engine, "--folder", ".", cwd=tmp_path,
               SSL_CERT_FILE=authority)  # fmt: skip
    observed = result(tmp_path)
    assert (observed["sent"], observed["done"], observed["failed"]) == (30, 30, 0), observed["notes"]


@pytest.mark.parametrize("engine", ["locust", "precise"])
def test_an_untrusted_certificate_fails(engine: str, certificate: tuple[str, str], tmp_path: Path) -> None:
    """Every request fails with an untrusted certificate."""
    _, own = certificate
    with server(tls=[own, own.replace(".pem", ".key")]) as url:
        done = locust("smoke.py", url, "-t", "1s", "--rate", "20", "--engine", engine, "--success", "1%", "--folder",
                      ".", cwd=tmp_path)  # fmt: skip
    observed = result(tmp_path)
    assert (observed["sent"], observed["failed"]) == (20, 20)
    assert "certificate verify failed" in observed["notes"][0]
    assert done.returncode in (1, 8)


def test_the_gates_load_trusts_whom_the_gate_trusts(
    certificate: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SSL_CERT_FILE is among the few variables that the load passes to locust."""
    authority, own = certificate
    monkeypatch.setenv("SSL_CERT_FILE", authority)
    with server(tls=[own, own.replace(".pem", ".key")]) as url:
        target = Target("local", url, "20261123T120102Z-3fa9c1")
        smoke = load_run.LOCUSTFILES["load"].with_name("smoke.py")
        assert (
            load_run.run(
                target, tmp_path, rate_per_s=20, window_s=1, log=print, cancelled=lambda: False, locustfile=smoke
            )
            == 0
        )
    assert measured(tmp_path)["outcomes"].value["failures"] == 0

"""The certificate of the target: real handshakes with a TLS terminator."""

from pathlib import Path

import pytest

from gaia_checks.deploy.supervisor.spawn import free_port
from gaia_checks.errors import TargetUnreachable
from gaia_checks.judge import criteria_file
from gaia_checks.judge.judgement import judge_measured
from gaia_checks.model import CriterionVerdict, Measurement, State
from gaia_checks.probes import certificate
from tests.probes import servers
from tests.probes.servers import target
from tests.support import certificates

NOWHERE = target("http://127.0.0.1:1")
CRITERION = next(criterion for criterion in criteria_file.load().criteria if criterion.id == "prod.certificate")


def judged(measurements: list[Measurement]) -> CriterionVerdict:
    """The verdict of prod.certificate on these measurements."""
    return judge_measured(CRITERION, measurements, rehearsal=False)


@pytest.mark.parametrize(
    ("name", "starts_days", "ends_days", "state", "why"),
    [
        ("IP:::1", -1, 60, State.PASS, "days_left is 60 days"),
        ("IP:::1", -1, 14.1, State.PASS, "days_left is 14.1 days"),
        ("IP:::1", -1, 13.9, State.FAIL, "days_left is 13.9 days; required: at least 14 days; valid from "),
        ("IP:::1", -90, -2, State.FAIL, "days_left is -2 days; required: at least 14 days; valid from "),
        ("IP:::1", 1, 60, State.FAIL, "certificate is not yet valid"),
        ("IP:127.0.0.2", -1, 60, State.FAIL, "IP address mismatch, certificate is not valid for '::1'"),
        ("DNS:localhost", -1, 60, State.FAIL, "IP address mismatch, certificate is not valid for '::1'"),
    ],
)
def test_a_certificate_is_accepted_and_valid_for_long_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, starts_days: float, ends_days: float, state: State,
    why: str,
) -> None:  # fmt: skip
    """Near its end, past it, before its start and for another name it fails, with the reason."""
    made = certificates.make(tmp_path, name, starts_days=starts_days, ends_days=ends_days)
    monkeypatch.setenv("SSL_CERT_FILE", made.authority)
    with servers.secured(NOWHERE, made) as secured:
        verdict = judged(certificate.probe(secured))
    assert (verdict.state, why in verdict.why) == (state, True), verdict.why


def test_only_what_the_clients_trust_is_accepted(tmp_path: Path) -> None:
    """Without SSL_CERT_FILE this authority is unknown, and the reason names the setting."""
    with servers.secured(NOWHERE, certificates.make(tmp_path, "IP:::1")) as secured:
        verdict = judged(certificate.probe(secured))
    assert verdict.state is State.FAIL
    assert "unable to get local issuer certificate" in verdict.why
    assert "SSL_CERT_FILE" in verdict.why


def test_without_a_handshake_nothing_is_decided() -> None:
    """Nobody listens, or it is no TLS: the error names the address, and that decides nothing."""
    address = f"https://127.0.0.1:{free_port()}"
    with pytest.raises(TargetUnreachable, match=f"{address}: no TLS handshake"):
        certificate.probe(target(address))
    with servers.serving() as plain, pytest.raises(TargetUnreachable, match="does it serve https"):
        certificate.probe(target(plain.replace("http", "https")))

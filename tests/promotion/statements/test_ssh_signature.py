"""Signing and checking with ssh-keygen: files, agents, passphrases."""

import os
import subprocess
from pathlib import Path

import pytest

from gaia_checks.errors import ConfigurationError, NotSigned
from gaia_checks.promotion.statements import ssh_signature
from tests.support import ssh_keys

NAMESPACE = "gaia-verdict/qa@v1"


def test_a_signature_counts_for_its_content_and_namespace_only(tmp_path: Path) -> None:
    """What was signed, in the namespace that the file allows; everything else says why not."""
    key = ssh_keys.make(tmp_path, "key")
    allowed = ssh_keys.line("me@example.test", "gaia-verdict/*@v1", key)
    signature = ssh_signature.sign(b"content", NAMESPACE, key)
    assert ssh_signature.signer(b"content", signature, NAMESPACE, allowed) == "me@example.test"
    for content, namespace, why in (
        (b"other", NAMESPACE, "incorrect signature"),
        (b"content", "gaia-verdict/prod@v1", "namespace does not match"),
        (b"content", "git", "namespace does not match"),
    ):
        with pytest.raises(NotSigned, match=why):
            ssh_signature.signer(content, signature, namespace, allowed)
    expired = allowed.replace("namespaces", 'valid-before="20200101",namespaces')
    with pytest.raises(NotSigned, match="allowed_signers:1: key has expired"):
        ssh_signature.signer(b"content", signature, NAMESPACE, expired)
    with pytest.raises(NotSigned, match="not an SSH signature"):
        ssh_signature.signer(b"content", "-----BEGIN PGP SIGNATURE-----", NAMESPACE, allowed)


def test_an_agent_signs_for_a_public_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The private key is only in the agent, as with a hardware key."""
    key = ssh_keys.make(tmp_path, "key")
    socket = tmp_path / "agent"
    with subprocess.Popen(("ssh-agent", "-D", "-a", str(socket)), stdout=subprocess.PIPE) as agent:
        assert agent.stdout is not None
        agent.stdout.readline()  # it listens
        monkeypatch.setenv("SSH_AUTH_SOCK", str(socket))
        subprocess.run(("ssh-add", "-q", str(key)), check=True)
        key.unlink()
        public = tmp_path / "key.pub"
        signature = ssh_signature.sign(b"content", NAMESPACE, public)
        agent.terminate()
    allowed = ssh_keys.line("me@example.test", "*", key)
    assert ssh_signature.signer(b"content", signature, NAMESPACE, allowed) == "me@example.test"


def test_nobody_is_asked_for_a_passphrase_where_nobody_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An unattended gate says which key it cannot use; so does a path that is no key."""
    key = tmp_path / "key"
    subprocess.run(("ssh-keygen", "-q", "-t", "ed25519", "-N", "secret", "-f", str(key)), check=True)
    monkeypatch.setenv("SSH_ASKPASS", "/bin/true")
    monkeypatch.setenv("DISPLAY", ":0")
    with pytest.raises(ConfigurationError, match=rf"{key}: cannot sign: .*; if it has a passphrase: ssh-add {key}"):
        ssh_signature.sign(b"content", NAMESPACE, key, unattended=True)
    with pytest.raises(ConfigurationError, match="none: no such key; set GAIA_SIGNING_KEY to the path of an SSH key"):
        ssh_signature.sign(b"content", NAMESPACE, tmp_path / "none")


def test_ssh_keygen_gets_no_secret_of_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its environment is ours without the server's secrets."""
    monkeypatch.setenv("ADMIN_TOKEN", "canary-77")
    program = tmp_path / "ssh-keygen"
    program.write_text(f"#!/bin/sh\nenv > {tmp_path}/env\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    with pytest.raises(ConfigurationError, match="no reason given"):
        ssh_signature.sign(b"content", NAMESPACE, program)
    assert "canary-77" not in (tmp_path / "env").read_text()

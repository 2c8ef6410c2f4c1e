"""Signatures by `ssh-keygen -Y`: files, agents and hardware keys work as for ssh itself.

Whose signature counts for what is decided by ssh-keygen, from an allowed_signers file: names (principals), keys, and
the namespaces that a key may sign in.
"""

import re
import subprocess
import tempfile
from pathlib import Path

from gaia_checks.deploy.git.git_command import variables_without_secrets
from gaia_checks.errors import ConfigurationError, MissingDependency, NotSigned

_ARMOUR = re.compile(r"-----BEGIN SSH SIGNATURE-----\n[A-Za-z0-9+/=\n]+-----END SSH SIGNATURE-----\n?")
_UNKNOWN = "No principal matched."
_OUT_OF_DATE = re.compile("key has expired|key is not yet valid")
_TIMEOUT_S = 120.0  # a person may have to touch a key, or to type a passphrase


def sign(content: bytes, namespace: str, key: Path, *, unattended: bool = False) -> str:
    """Return the armoured signature of `content`. `key`: a private key, or a public one whose private one an agent has.

    With `unattended`, no passphrase is requested. Raises ConfigurationError naming the key.
    """
    if not key.is_file():
        raise ConfigurationError(f"{key}: no such key; set GAIA_SIGNING_KEY to the path of an SSH key")
    done = _ssh_keygen("sign", "-n", namespace, "-f", str(key), content=content, unattended=unattended)
    if done.returncode:
        raise ConfigurationError(f"{key}: cannot sign: {_last_line(done)}; if it has a passphrase: ssh-add {key}")
    return done.stdout.decode()


def signer(content: bytes, signature: str, namespace: str, allowed: str) -> str:
    """Return the name under which the text `allowed` lets the signature's key sign in `namespace`. Raises NotSigned."""
    if not _ARMOUR.fullmatch(signature):
        raise NotSigned("not an SSH signature")
    with tempfile.TemporaryDirectory(prefix="gaia-signature-") as folder:
        signers, armoured = Path(folder, "allowed_signers"), Path(folder, "signature")
        signers.write_text(allowed)
        armoured.write_text(signature)
        files = ("-f", str(signers), "-s", str(armoured))
        found = _ssh_keygen("find-principals", *files)
        names = found.stdout.decode(errors="replace").splitlines() if found.returncode == 0 else []
        reason = _last_line(found)
        for name in names:
            checked = _ssh_keygen("verify", *files, "-n", namespace, "-I", name, content=content)
            if checked.returncode == 0:
                return name
            reason = f"{name}: {_last_line(checked)}"
    raise NotSigned(reason.replace(f"{folder}/", ""))


def _ssh_keygen(
    action: str, *words: str, content: bytes = b"", unattended: bool = True
) -> subprocess.CompletedProcess[bytes]:
    try:
        return subprocess.run(
            ("ssh-keygen", "-Y", action, *words), input=content, capture_output=True, timeout=_TIMEOUT_S, check=False,
            env=variables_without_secrets(LC_ALL="C", **({"SSH_ASKPASS_REQUIRE": "never"} if unattended else {})),
            start_new_session=unattended,  # without a terminal it requests no passphrase
        )  # fmt: skip
    except FileNotFoundError as error:
        raise MissingDependency("ssh-keygen is not installed; run: apt-get install openssh-client") from error
    except subprocess.TimeoutExpired as error:
        raise ConfigurationError(f"ssh-keygen: no answer within {_TIMEOUT_S:.0f} s; run again") from error


def _last_line(done: subprocess.CompletedProcess[bytes]) -> str:
    """Return why ssh-keygen failed. That a key matched but is out of date stands before its last line."""
    lines = done.stderr.decode(errors="replace").splitlines()
    lines = [line for line in lines if line and not line.startswith("Signing data")]
    if lines and lines[-1] == _UNKNOWN:
        return next((line for line in lines if _OUT_OF_DATE.search(line)), "its key is not in allowed_signers")
    return lines[-1] if lines else "no reason given"

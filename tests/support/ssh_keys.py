"""SSH keys of people and gates, made by ssh-keygen."""

import subprocess
from pathlib import Path


def make(folder: Path, name: str) -> Path:
    """Make a key without a passphrase and return its private file."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    subprocess.run(("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(path)), check=True)
    return path


def line(who: str, namespaces: str, key: Path) -> str:
    """Return a line of an allowed_signers file."""
    public = " ".join(key.with_name(f"{key.name}.pub").read_text().split()[:2])
    return f'{who} namespaces="{namespaces}" {public}\n'

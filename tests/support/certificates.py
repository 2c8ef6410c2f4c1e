"""Certificates for tests: of an authority that nobody trusts by itself."""

import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Certificate:
    """A server's certificate with its key, and the authority that signed it."""

    authority: str
    own: str
    key: str


def make(folder: Path, name: str) -> Certificate:
    """Make an authority and a certificate of it for a name like `IP:127.0.0.1`."""
    (folder / "names").write_text(f"subjectAltName={name}\n")
    for command in (
        "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out ca.pem -days 2 -subj /CN=us",
        "req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout own.key -out own.csr -subj /CN=server",
        "x509 -req -in own.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out own.pem -days 2 -extfile names",
    ):
        subprocess.run(["openssl", *command.split()], cwd=folder, check=True, capture_output=True)
    return Certificate(*(str(folder / name) for name in ("ca.pem", "own.pem", "own.key")))

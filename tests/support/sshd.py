"""A real sshd on loopback, for the account that runs the tests, with keys of its own.

ssh looks for its settings in the home folder of the account, whatever HOME says, and that is nobody's to write to in a
test. So a program `ssh` that comes first in PATH gives the real one the settings that a user has in ~/.ssh/config.
"""

import os
import pwd
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from gaia_checks.deploy.supervisor.spawn import free_port

SSHD = shutil.which("sshd", path=os.pathsep.join((os.environ["PATH"], "/usr/sbin")))

SERVER = """
ListenAddress 127.0.0.1
Port {port}
HostKey {folder}/host_key
AuthorizedKeysFile {folder}/user_key.pub
PidFile none
UsePAM no
PasswordAuthentication no
PermitRootLogin prohibit-password
StrictModes no
SetEnv PATH={folder}/there:/usr/bin:/bin
"""

CLIENT = """
IdentityFile {folder}/user_key
IdentitiesOnly yes
UserKnownHostsFile {folder}/known_hosts
"""


@dataclass(frozen=True)
class Sshd:
    """Where it listens, and how a process finds the ssh that is let in."""

    port: int
    user: str
    bin: Path
    there: Path  # programs that come first "on that machine"

    @property
    def path(self) -> str:
        """The variable PATH for whoever is to be let in."""
        return f"{self.bin}{os.pathsep}{os.environ['PATH']}"

    def log(self, file: Path) -> str:
        """The key `log` of an environment file, for a file of "that machine"."""
        return f"ssh://{self.user}@127.0.0.1:{self.port}{file}"


@contextmanager
def running(folder: Path) -> Iterator[Sshd]:
    """Run sshd until the end of the block."""
    assert SSHD, "sshd is needed; run `apt-get install -y --no-install-recommends openssh-server`"
    made = Sshd(free_port(), pwd.getpwuid(os.getuid()).pw_name, folder / "bin", folder / "there")
    for name in ("host_key", "user_key"):
        subprocess.run(("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)), check=True)
    host_key = (folder / "host_key.pub").read_text()
    (folder / "known_hosts").write_text(f"[127.0.0.1]:{made.port} {host_key}")
    (folder / "sshd_config").write_text(SERVER.format(folder=folder, port=made.port))
    (folder / "ssh_config").write_text(CLIENT.format(folder=folder))
    made.bin.mkdir()
    made.there.mkdir()
    (made.bin / "ssh").write_text(f'#!/bin/sh\nexec {shutil.which("ssh")} -F {folder}/ssh_config "$@"\n')
    (made.bin / "ssh").chmod(0o755)
    if os.getuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # of root it wants this folder, empty
    with (folder / "sshd.err").open("wb") as errors:
        process = subprocess.Popen((SSHD, "-D", "-e", "-f", str(folder / "sshd_config")), stderr=errors)
    try:
        _until_listening(made.port, folder / "sshd.err")
        yield made
    finally:
        process.terminate()
        process.wait()


def _until_listening(port: int, errors: Path) -> None:
    deadline = time.monotonic() + 10
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            assert time.monotonic() < deadline, errors.read_text()
            time.sleep(0.02)
        else:
            return

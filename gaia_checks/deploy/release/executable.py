"""Check from a file's first bytes whether this machine can execute it, before anything starts."""

import platform
import shutil
import struct
import sys
from pathlib import Path

from gaia_checks.environment.process_variables import surroundings
from gaia_checks.errors import ArtifactError

_MACHINES = {3: "i686", 40: "armv7l", 62: "x86_64", 183: "aarch64", 243: "riscv64", 21: "ppc64le", 22: "s390x"}
"""e_machine of an ELF header -> the architecture as `uname -m` prints it."""

_RUNS_ALSO = {"x86_64": frozenset({"i686"})}
_HEAD_BYTES = 256


def check(path: Path) -> None:
    """Raise ArtifactError, with the reason, when this machine cannot execute `path`."""
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    reason = unfit(head, platform.machine()) if sys.platform == "linux" or head.startswith(b"#!") else None
    if reason:
        raise ArtifactError(f"{path.name}: {reason}")


def unfit(head: bytes, machine: str) -> str | None:
    """Return why `machine` cannot execute a file with these first bytes; None when it can."""
    if head.startswith(b"#!"):
        return _unfit_script(head)
    if not head.startswith(b"\x7fELF") or len(head) < 20:
        return "neither a program (ELF) nor a script (#!); deploy an executable file"
    order = "<" if head[5] == 1 else ">"
    built_for = _MACHINES.get(struct.unpack_from(f"{order}H", head, 18)[0], "another machine")
    if built_for != machine and built_for not in _RUNS_ALSO.get(machine, ()):
        return f"built for {built_for}, but this machine is {machine}; build it for {machine}"
    return None


def _unfit_script(head: bytes) -> str | None:
    words = head[2:].split(b"\n", 1)[0].decode(errors="replace").split()
    if not words:
        return "names no interpreter after #!"
    candidates = [
        word for word in words[1:] if not word.startswith("-") and "=" not in word
    ]  # skip `env -S NAME=VALUE`
    interpreter = candidates[0] if Path(words[0]).name == "env" and candidates else words[0]
    if shutil.which(interpreter, path=surroundings()["PATH"]) is None:
        return f"its interpreter {interpreter} is not installed; install it"
    return None

"""Finds the server's process by pid and birth, and checks that it runs the release's executable."""

import time
from pathlib import Path

import httpx
import psutil

from gaia_checks import files, process_identity
from gaia_checks.model import Measurement, Process, Target
from gaia_checks.target import health_body
from gaia_checks.target.client import client
from gaia_checks.target.samples import Watch
from gaia_checks.target.unobservable import HERE, USER, cannot_observe


def find(process: Process) -> psutil.Process | None:
    """Return the running process that `process` names by pid and birth, None when it is gone."""
    return process_identity.find(process.pid, process.birth)


def age_s(process: Process) -> float | None:
    """Return how long it has run, by this machine's present clock; None when it is gone."""
    running = find(process)
    return time.time() - running.create_time() if running else None


def digest(target: Target, process: Process, watch: Watch) -> Measurement:
    """Measure `process.digest_matches`: whether the process runs the released executable."""
    name, how = (
        "process.digest_matches",
        "sha256 of the running executable, and the digest in /health, against the release's",
    )
    if target.release is None:
        return watch.measurement(name, False, "bool", 0, how, (cannot_observe(target, "which release runs", HERE),))
    try:
        wrong = _wrong_executable(process, target.release.sha256) or _wrong_reported_digest(
            target, target.release.sha256
        )
    except (PermissionError, psutil.AccessDenied) as error:
        why = f"process {process.pid} belongs to another user: {error}"
        return watch.measurement(
            name, False, "bool", 0, how, (cannot_observe(target, "the executable of the process", USER, why=why),)
        )
    return watch.measurement(name, wrong is None, "bool", 1, how, (wrong,) if wrong else ())


def _wrong_executable(process: Process, sha256: str) -> str | None:
    """Return why `process` does not run the file with that sha256; None when it does."""
    running = find(process)
    if running is None:
        return f"process {process.pid} is gone"
    try:
        if _executable_sha256(running) == sha256:
            return None
        if not _interprets(running, process.artifact):
            return f"process {process.pid} runs neither a file with sha256 {sha256} nor, by Python, {process.artifact}"
        found = files.sha256(process.artifact)
    except (FileNotFoundError, psutil.NoSuchProcess) as error:
        return f"the executable of process {process.pid} is gone: {error}"
    return None if found == sha256 else f"{process.artifact} has sha256 {found}, released was {sha256}"


def _executable_sha256(running: psutil.Process) -> str:
    kernels_own = Path(f"/proc/{running.pid}/exe")  # stays true when the file is replaced; Linux only
    return files.sha256(kernels_own if kernels_own.exists() else Path(running.exe()))


def _interprets(running: psutil.Process, artifact: Path) -> bool:
    """Whether `running` is a Python interpreter with `artifact` as its script."""
    script = next((argument for argument in running.cmdline()[1:] if not argument.startswith("-")), None)
    return "python" in Path(running.exe()).name.lower() and script == str(artifact)


def _wrong_reported_digest(target: Target, sha256: str) -> str | None:
    """Return how /health contradicts the release; None when it does not."""
    try:
        with client(target) as http:
            digest = health_body.read(http.get(health_body.PATH)).get("digest")
    except httpx.TransportError as error:
        return f"GET {health_body.PATH}: no answer: {type(error).__name__} {error}"
    return (
        None
        if str(digest).removeprefix("sha256:") == sha256
        else f"/health says digest {digest!r}, released was {sha256}"
    )

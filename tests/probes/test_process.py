"""The process probe: alive, the release's executable, and still the same process."""

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from gaia_checks.model import Measurement, Process, Release, Target
from gaia_checks.probes import process
from tests.probes.servers import HEALTHY, answering, known, serving, target
from tests.support import clock


def look(at: Target, first_observed: Process | None = None) -> dict[str, Measurement]:
    """Run the probe and return its measurements, without the prefix of their names."""
    return {
        measured.name.removeprefix("process."): measured
        for measured in process.probe(at, first_observed=first_observed)
    }


@contextmanager
def running(*command: str, artifact: Path) -> Iterator[tuple[subprocess.Popen[bytes], Process]]:
    """Run a command until the end of the block; it is ready when it has written a byte."""
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert child.stdout is not None
    assert child.stdin is not None
    try:
        child.stdout.read(1)
        yield child, known(child.pid, artifact)
    finally:
        child.kill()
        child.wait()
        child.stdout.close()
        child.stdin.close()


def deployed(found: Process, sha256: str, url: str) -> Target:
    """A target that should run the executable with that sha256."""
    return target(url, process=found, release=Release("phase-1", None, sha256, {}))


def sha256(path: Path) -> str:
    """The sha256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def script(tmp_path: Path) -> Path:
    """A single-file Python server, as its process looks."""
    path = tmp_path / "server"
    path.write_text("import sys; sys.stdout.write('x'); sys.stdout.flush(); sys.stdin.read()\n")
    return path


def test_the_real_server_is_what_was_released(server: Target) -> None:
    """It is alive, runs the release's executable, and reports its digest."""
    values = {
        name: (measured.value, measured.n, measured.notes) for name, measured in look(server, server.process).items()
    }
    assert values == {
        "alive": (True, 1, ()),
        "digest_matches": (True, 1, ()),
        "restarts": (0, 1, ()),
        "cpu_limited": (0, 1, ()),
    }


@pytest.mark.parametrize("replaced", sorted({False, Path("/proc/self/exe").exists()}))
def test_a_native_executable_is_known_by_its_content(tmp_path: Path, *, replaced: bool) -> None:
    """The running executable counts: on Linux also when its file was replaced after the start."""
    artifact = tmp_path / "server"
    shutil.copy(shutil.which("cat") or "", artifact)
    released = sha256(artifact)
    with serving(answering("/health", {**HEALTHY, "digest": f"sha256:{released}"})) as url:
        child = subprocess.Popen([str(artifact)], stdin=subprocess.PIPE)
        found = known(child.pid, artifact)
        if replaced:
            artifact.unlink()
            artifact.write_text("something else")
        right = look(deployed(found, released, url))["digest_matches"]
        wrong = look(deployed(found, "f" * 64, url))["digest_matches"]
        child.communicate()
    assert (right.value, right.notes) == (True, ())
    assert (wrong.value, wrong.n) == (False, 1)


def test_a_python_file_is_known_by_the_command_line(script: Path) -> None:
    """For a Python server the script is compared, not the interpreter."""
    digest = sha256(script)
    with (
        serving(answering("/health", {**HEALTHY, "digest": digest})) as url,
        running(sys.executable, str(script), artifact=script) as (_, found),
    ):
        assert look(deployed(found, digest, url))["digest_matches"].value is True
        measured = look(deployed(found, "f" * 64, url))["digest_matches"]
    assert (measured.value, measured.n) == (False, 1)
    assert "released was fff" in measured.notes[0]


def test_a_file_that_is_only_mentioned_does_not_run(script: Path) -> None:
    """An artifact among the arguments of another program does not match."""
    digest, code = sha256(script), "import sys; sys.stdout.write('x'); sys.stdout.flush(); sys.stdin.read()"
    with (
        serving(answering("/health", {**HEALTHY, "digest": digest})) as url,
        running(sys.executable, "-c", code, str(script), artifact=script) as (_, found),
    ):
        measured = look(deployed(found, digest, url))["digest_matches"]
    assert measured.value is False
    assert "runs neither" in measured.notes[0]


def test_a_server_that_claims_another_digest_is_not_the_release(script: Path) -> None:
    """The right file with the wrong digest in /health does not match."""
    digest = sha256(script)
    with (
        serving(answering("/health", HEALTHY)) as url,
        running(sys.executable, str(script), artifact=script) as (_, found),
    ):
        measured = look(deployed(found, digest, url))["digest_matches"]
    assert measured.value is False
    assert "/health says digest '000" in measured.notes[0]


def test_a_dead_process_is_not_alive(script: Path) -> None:
    """A dead or zombie process is not alive and does not run the release."""
    with running(sys.executable, str(script), artifact=script) as (child, found):
        at = deployed(found, sha256(script), "http://127.0.0.1:9")
        child.kill()
        while psutil.Process(child.pid).status() != psutil.STATUS_ZOMBIE:
            pass
        zombie = look(at)
    gone = look(at)
    for measured in (zombie, gone):
        assert (measured["alive"].value, measured["alive"].n) == (False, 1)
        assert measured["digest_matches"].value is False


def test_a_reused_pid_is_not_the_process(script: Path) -> None:
    """The same pid with another birth is another process."""
    with running(sys.executable, str(script), artifact=script) as (_, found):
        other = replace(found, birth=f"{found.birth}0")
        measured = look(deployed(other, sha256(script), "http://127.0.0.1:9"))
    assert measured["alive"].value is False


def test_a_process_is_still_the_same_when_the_clock_is_set(server: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock jump after a suspend is no restart."""
    clock.step(monkeypatch)
    values = {name: (measured.value, measured.n) for name, measured in look(server, server.process).items()}
    assert values == {"alive": (True, 1), "digest_matches": (True, 1), "restarts": (0, 1), "cpu_limited": (0, 1)}


def test_a_restart_is_detected(server: Target) -> None:
    """Another pid, or a later start of the same one, since the start of the gate is a restart."""
    assert server.process is not None
    for first in (
        replace(server.process, pid=server.process.pid + 1),
        replace(server.process, birth=f"{server.process.birth}0"),
    ):
        assert look(server, first)["restarts"].value == 1


def test_a_process_that_vanished_during_the_gate_is_not_alive(server: Target) -> None:
    """A process observed at first and no longer recorded is a failure."""
    first = Process(2**22 - 1, "long ago", 1.0, Path("/x"))
    measured = look(replace(server, process=None), first)
    assert (measured["alive"].value, measured["alive"].n) == (False, 1)


def test_an_unobservable_process_is_not_judged(server: Target) -> None:
    """The process of a remote server is unobservable."""
    measured = look(replace(server, process=None))
    assert set(measured) == {"alive", "digest_matches", "restarts", "cpu_limited"}
    assert {measurement.n for measurement in measured.values()} == {0}


def test_an_unknown_release_is_not_judged(server: Target) -> None:
    """Without a release the digest has no sample; the process is still observed."""
    measured = look(replace(server, release=None))
    assert measured["digest_matches"].n == 0
    assert measured["alive"].value is True


_LIMITS_ITSELF = """
import resource, subprocess, sys
{limiting}
subprocess.run([sys.executable, "-c", "import sys; sys.stdout.write('x'); sys.stdout.flush(); sys.stdin.read()"])
"""


@pytest.mark.parametrize(
    ("limiting", "limited"),
    [
        ("", 0),
        ("resource.setrlimit(resource.RLIMIT_CPU, (50, resource.RLIM_INFINITY))", 2),
        ("resource.setrlimit(resource.RLIMIT_CPU, (50, 60))", 2),
    ],
)
def test_a_limit_of_cpu_time_is_found(tmp_path: Path, limiting: str, limited: int) -> None:
    """Of the process and of its descendants, whether a signal or the kernel itself would end them."""
    with running(sys.executable, "-c", _LIMITS_ITSELF.format(limiting=limiting), artifact=tmp_path) as (_, found):
        measured = look(deployed(found, "", "http://127.0.0.1:9"))["cpu_limited"]
    assert (measured.value, measured.n) == (limited, 1)
    assert all("is killed after 50 s of CPU time" in note for note in measured.notes)

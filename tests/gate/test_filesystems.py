"""Gates whose folders lie on several filesystems or on a full one, or whose checkout is read-only."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gaia_checks import jsonl
from gaia_checks.environment.project import ROOT
from tests.support import filesystems
from tests.support.ground import Ground, ground


@pytest.fixture(scope="module")
def place(executable: Path) -> Iterator[Ground]:
    """A healthy server."""
    with ground() as made:
        made.deploy(executable, made.environment_file())
        yield made


def gate(place: Ground, *mounts: str, options: tuple[str, ...] = ()) -> "subprocess.CompletedProcess[str]":
    """Gate the server from a mount namespace."""
    file = place.environment_file(base_url=place.url)
    command = (sys.executable, "-m", "pytest", f"--env={file}", *options)
    return subprocess.run(
        filesystems.among(*mounts, command=command),
        cwd=ROOT, env=place.variables, capture_output=True, text=True, timeout=150, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("workers", [(), ("-n", "2")])
def test_reports_and_temporary_files_may_lie_on_two_filesystems(place: Ground, workers: tuple[str, ...]) -> None:
    """The load is measured, its interim results reach the gate, and no file is left."""
    with filesystems.in_memory() as temporary:
        assert temporary.stat().st_dev != place.folder.stat().st_dev
        file = place.environment_file(base_url=place.url)
        outcome = place.gate(file, "--stage=qa", "-k", "load or health", *workers, TMPDIR=str(temporary))
        left = list(temporary.glob("gaia-*"))
    measured = {record["name"]: record for record in jsonl.read(outcome.folder / "measurements.jsonl")}
    exited = measured["gate.exit.load"]["value"], measured["gate.exit.load"]["notes"]
    assert exited in ((0, []), (-signal.SIGTERM, [""])), outcome.output  # a gate stops what is slow once all is decided
    assert measured["load.outcomes"]["n"] == 500
    assert outcome.states["dev.health"] == "pass"
    assert left == []


def on_a_small_filesystem(place: Ground, kilobytes: int) -> "subprocess.CompletedProcess[str]":
    """Gate the server with its reports on a filesystem of this size."""
    (place.folder / "small").mkdir(exist_ok=True)
    small = filesystems.small(place.folder / "small", kilobytes)
    return gate(place, small, f"export GAIA_REPORTS='{place.folder / 'small'}'")


def test_a_full_filesystem_of_reports_takes_the_report_and_not_the_verdict(place: Ground) -> None:
    """The report alone needs more than 3 MB: a healthy server passes, and a line says why there is no report."""
    done = on_a_small_filesystem(place, 3000)
    output = done.stdout + done.stderr
    last = output.splitlines()[-1]
    assert done.returncode == 0, output
    assert last.startswith("PASS (exit code 0): 7 of 7 criteria passed; report ")
    assert last.endswith("/verdict.md")
    assert [line for line in output.splitlines() if "no report: " in line and "No space left on device" in line]
    assert output.count("No space left on device") == 1, output


def test_a_full_filesystem_of_evidence_is_one_line_and_no_verdict(place: Ground) -> None:
    """The evidence needs more than 140 kB: exit code 8, and the last line gives the reason, once."""
    done = on_a_small_filesystem(place, 140)
    output = done.stdout + done.stderr
    last = output.splitlines()[-1]
    assert done.returncode == 8, output
    assert last.startswith("INCONCLUSIVE (exit code 8): the evidence could not be completed: ")
    assert "No space left on device" in last
    assert output.count("No space left on device") == 1, output
    assert "Traceback" not in output


def test_a_gate_writes_nothing_into_its_checkout(place: Ground) -> None:
    """A read-only checkout passes like any other when state and reports lie elsewhere."""
    done = gate(place, filesystems.read_only(ROOT), f"! touch '{ROOT / 'written'}' 2>&-", options=("-n", "2"))
    output = done.stdout + done.stderr
    assert done.returncode == 0, output
    assert "arning" not in output
    assert output.splitlines()[-1].startswith("PASS (exit code 0): 7 of 7 criteria passed; ")

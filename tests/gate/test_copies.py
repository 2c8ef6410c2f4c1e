"""Quotas and rollback from the command line: on rehearsal copies, which are removed afterwards."""

import signal
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.support.ground import Ground, ground, until

ON_COPIES = ("qa.quotas", "prod.rollback")


@pytest.fixture(scope="module")
def place(executable: Path) -> Iterator[Ground]:
    """Deploy a server."""
    with ground() as made:
        made.deploy(executable, made.environment_file())
        yield made


def copies(place: Ground) -> list[Path]:
    """Return the folders of rehearsal copies."""
    return list((place.folder / "home" / "ground" / "copies").glob("*"))


def copy_runs(place: Ground) -> bool:
    """Whether a rehearsal copy's supervisor runs."""
    return any(list(folder.glob("*/state.json")) for folder in copies(place))


def processes_of(folder: Path) -> list[int]:
    """Return the processes of a rehearsal copy, by their command line."""
    return [p.pid for p in psutil.process_iter(["cmdline"]) if str(folder) in " ".join(p.info["cmdline"] or ())]


def test_a_gate_that_deploys_its_target_rolls_back_to_a_stand_in_release() -> None:
    """Both looks pass in parallel in two workers, the rollback names its target, and nothing is left."""
    with ground() as made:
        outcome = made.gate(made.environment_file(), "--stage=prod", "-k", "quotas or rollback", "-n", "2")
        measured = made.measured()
        assert copies(made) == []
        assert processes_of(made.folder) == []
    assert {name: outcome.states[name] for name in ON_COPIES} == dict.fromkeys(ON_COPIES, "pass"), outcome.output
    assert "a stand-in release (same code, other bytes; there is no previous release yet)" in measured


def test_without_a_previous_release_the_rollback_is_not_decided(place: Ground) -> None:
    """A target that the gate did not deploy requires two deployments; the reason says so."""
    file = place.environment_file(base_url=place.url)
    outcome = place.gate(file, "--stage=prod", "-k", "rollback")
    assert outcome.states["prod.rollback"] == "inconclusive"
    assert "ground: there is no previous release here; deploy one: gaia deploy ground PHASE" in outcome.output
    assert copies(place) == []


def test_the_next_gate_removes_the_copy_of_a_killed_one(place: Ground) -> None:
    """After SIGKILL while a rehearsal copy runs, the next gate removes its processes and its folder."""
    file = place.environment_file(base_url=place.url)
    gate = place.start("pytest", f"--env={file}", "--stage=qa", "-k", "quotas")
    until(lambda: copy_runs(place))
    gate.send_signal(signal.SIGKILL)
    gate.communicate()
    (folder,) = copies(place)
    assert processes_of(folder) != []
    outcome = place.gate(file, "-k", "health")
    assert f"removed the rehearsal copy {folder.name}" in outcome.output
    assert copies(place) == []
    assert processes_of(folder) == []


def test_ctrl_c_removes_the_copy(place: Ground) -> None:
    """After SIGINT while a rehearsal copy runs, the gate removes it itself."""
    file = place.environment_file(base_url=place.url)
    gate = place.start("pytest", f"--env={file}", "--stage=qa", "-k", "quotas")
    until(lambda: copy_runs(place))
    (folder,) = copies(place)
    gate.send_signal(signal.SIGINT)
    output, _ = gate.communicate(timeout=60)
    assert gate.returncode == 2, output
    assert copies(place) == []
    assert processes_of(folder) == []

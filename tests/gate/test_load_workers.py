"""A gate whose load is sent by workers: by all of them together, or by none."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from gaia_checks import jsonl
from gaia_checks.deploy.supervisor.spawn import free_port
from gaia_checks.model import Target
from tests.probes.conftest import release, server
from tests.support.ground import ROOT, Ground, Outcome, ground

__all__ = ["release", "server"]

LOAD = ("--stage=qa", "--complete", "-k", "load_is_served or health")


@pytest.fixture
def place(server: Target) -> Iterator[Ground]:
    """Provide a machine that gates a server of another."""
    assert server.admin_token is not None
    with ground(database="external", ADMIN_TOKEN=server.admin_token) as made:
        yield made


@contextmanager
def workers(place: Ground, target: Target, master: str, count: int) -> Iterator["list[subprocess.Popen[str]]"]:
    """Start workers as on another machine: they know the master, and the target to which their token may go."""
    argv = (
        sys.executable, "-m", "gaia_checks.cli", "load", "worker", "--master", master, "--target", target.base_url,
    )  # fmt: skip
    variables = {**place.variables, "GAIA_ADMIN_TOKEN": target.admin_token or ""}
    started = [subprocess.Popen(argv, cwd=ROOT, env=variables, stderr=subprocess.PIPE, text=True) for _ in range(count)]
    try:
        yield started
    finally:
        for process in started:
            process.kill()
            process.communicate()


def measured(outcome: Outcome, name: str) -> dict[str, Any]:
    """Return the last measurement of this name."""
    return [each for each in jsonl.read(outcome.folder / "measurements.jsonl") if each["name"] == name][-1]


def said(outcome: Outcome) -> str:
    """Return what the gate printed, without its line breaks."""
    return " ".join(outcome.output.split())


def test_two_workers_send_the_load_of_a_gate(place: Ground, server: Target) -> None:
    """Each sends every second request; the evidence names them; the gate's rules are gone from the target."""
    master = f"127.0.0.1:{free_port()}"
    file = place.environment_file(base_url=server.base_url, load=f'workers = 2\nmaster = "{master}"\n')
    with workers(place, server, master, 2) as started:
        outcome = place.gate(file, *LOAD)
        assert [process.wait(30) for process in started] == [0, 0]
    assert outcome.states["dev.health"] == "pass", outcome.not_passed()
    assert measured(outcome, "load.outcomes")["n"] == 500
    took_part = measured(outcome, "load.workers")
    assert took_part["value"] == 2
    assert f"the load waits for 2 workers that join at {master} within 60 s; start each with: gaia load" in said(
        outcome
    )
    assert all(": 250 of 250 sent to " in note for note in took_part["notes"])
    assert {f"(pid {process.pid})" in str(took_part["notes"]) for process in started} == {True}
    assert measured(outcome, "gate.rows_left")["value"] == 0
    assert outcome.states["qa.load"] == "pass" or "the load generator is unreliable" in str(outcome.not_passed())


def test_a_worker_that_never_comes_leaves_the_load_undecided(place: Ground, server: Target) -> None:
    """What needs the load is inconclusive and says how the other one is started; the rest is judged."""
    master = f"127.0.0.1:{free_port()}"
    file = place.environment_file(
        base_url=server.base_url, load=f'workers = 2\njoin_within_s = 20\nmaster = "{master}"\n'
    )
    with workers(place, server, master, 1) as (only,):
        outcome = place.gate(file, *LOAD)
        assert only.wait(30) == 8
    assert outcome.code == 8
    assert outcome.states["dev.health"] == "pass", outcome.not_passed()
    why = outcome.not_passed()["qa.load"]
    assert why.startswith("inconclusive: "), why
    assert "1 of 2 workers joined within 20 s: " in why, why
    assert f"(pid {only.pid}); start the others with `gaia load worker --master {master}`" in why, why

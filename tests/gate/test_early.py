"""A gate that is lost ends early, and says what it did not look at; --complete goes on."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults import server
from tests.ground import LOOKS, ROOT, Ground, Outcome, ground

LONG = LOOKS.replace("window_s = 12", "window_s = 600").replace("window_s = 3\n", "window_s = 600\n")


@pytest.fixture(scope="module")
def lost() -> Iterator[tuple[Ground, Path]]:
    """A server that has written an error into its log, and the file of an environment whose windows are long."""
    with ground() as made:
        executable, switch = server.write(made.folder, ROOT)
        made.deploy(executable, made.environment_file())
        file = made.environment_file(base_url=made.url)
        switch.write_text("log")
        made.gate(file, "-k", "health")  # any request makes it write the line
        switch.write_text("")
        yield made, file


def looked_for(place: Ground, file: Path, looks: str, *options: str) -> tuple[Outcome, float]:
    """Gate with these looks; return how it ended and after how many seconds."""
    file.write_text(file.read_text().partition("[looks")[0] + looks)
    began = time.monotonic()
    return place.gate(
        file, "--stage=qa", "-k", "log or soak or websocket or load or health", *options
    ), time.monotonic() - began


@pytest.mark.parametrize("workers", [(), ("-n", "4")])
def test_a_certain_failure_ends_the_gate(lost: tuple[Ground, Path], workers: tuple[str, ...]) -> None:
    """Red in seconds although a window is ten minutes; what was cut is named, and is no pass."""
    place, file = lost
    outcome, took_s = looked_for(place, file, LONG, *workers)
    assert outcome.code == 1, outcome.output
    assert took_s < 60
    assert outcome.states["dev.log"] == "fail"
    why = outcome.not_passed()["qa.websocket_soak"]
    assert why == (
        "inconclusive: cut short, as dev.log has certainly failed; --complete looks at everything all the same"
    )
    assert "qa.websocket_soak: cut short, as dev.log" in outcome.output


def test_a_gate_may_be_told_to_look_at_everything(lost: tuple[Ground, Path]) -> None:
    """With --complete the failure stays one, and all others are looked at to their ends."""
    place, file = lost
    outcome, _ = looked_for(place, file, LOOKS, "--complete")
    assert outcome.code == 1, outcome.output
    assert outcome.states["dev.log"] == "fail"
    assert "cut short" not in outcome.output
    assert outcome.states["qa.websocket_soak"] in ("pass", "inconclusive")
    soak = next(each for each in outcome.verdict["criteria"] if each["id"] == "qa.websocket_soak")
    assert all(check["n"] > 0 for check in soak["checks"])


@pytest.mark.alone
def test_a_failure_of_the_load_is_certain_before_its_end(lost: tuple[Ground, Path]) -> None:
    """A route answers 500: the load is over in seconds, judged on what it has sent, and can be judged again."""
    place, file = lost
    (place.folder / "switch").write_text("500 /api/admin/quotas/analytics")
    load = "[looks.load]\nwindow_s = 600\nmax_window_s = 600\n[looks.health]\nrequests = 10\nspacing_s = 0.02\n"
    file.write_text(file.read_text().partition("[looks")[0] + load)
    began = time.monotonic()
    outcome = place.gate(file, "--stage=qa", "-k", "load or health")
    took_s = time.monotonic() - began
    (place.folder / "switch").write_text("")
    assert outcome.code == 1, outcome.output
    assert took_s < 60
    assert outcome.states["qa.load"] == "fail"
    again = place.run("gaia_checks.cli", "verdict", str(outcome.folder))
    assert again.returncode == 1, again.stdout + again.stderr

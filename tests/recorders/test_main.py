"""The process of the recorders, started as the gate starts it."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from gaia_checks import jsonl
from gaia_checks.judge import criteria_file
from gaia_checks.model import LogLocation, Measurement, Target
from gaia_checks.target.client import client
from gaia_checks.target.responses import CONFIG
from tests.probes.servers import TOKEN, known, serving, target
from tests.recorders import stage
from tests.recorders.stage import Server

LOOKS: Mapping[str, Mapping[str, float]] = {
    "log": {"window_s": 1},
    "soak": {"clients": 50, "window_s": 6},
    "limits": {"clients": 32, "window_s": 5},
    "memory": {"window_s": 1, "interval_s": 0.5},
    "connections": {"window_s": 3, "interval_s": 0.5},
}


@contextmanager
def recorders(
    folder: Path, looks: Mapping[str, Mapping[str, float]], given: Target | None
) -> Iterator[subprocess.Popen[str]]:
    """Start the process as the gate does; it ends here at the latest."""
    argv = [sys.executable, "-m", "gaia_checks.recorders", "--folder", str(folder), "--looks", json.dumps(looks)]
    with (folder / "recorders.err").open("w") as errors:
        process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=errors, stderr=errors, text=True)
    try:
        assert process.stdin is not None
        process.stdin.write((json.dumps(given.to_json()) if given else "nonsense") + "\n")
        process.stdin.flush()
        yield process
    finally:
        process.kill()
        process.communicate()


def measured(folder: Path) -> dict[str, Measurement]:
    """The measurements of the process."""
    records = jsonl.read(folder / "measurements.jsonl")
    return {record["name"]: Measurement.from_json(record) for record in records}


def until(done: Callable[[], bool]) -> None:
    """Wait with a time limit."""
    deadline = time.monotonic() + 60
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def rules(at: Target) -> list[str]:
    """The names of the server's rules."""
    with client(at, keyed=False) as http:
        return [rule["rule_name"] for rule in http.get(CONFIG).json()["items"]]


def test_everything_is_recorded_of_the_real_server(tmp_path: Path, server: Target) -> None:
    """Every measurement of every recorded criterion exists, over the whole window, and is correct."""
    before = rules(server)
    with recorders(tmp_path, LOOKS, server) as process:
        assert process.wait(40) == 0, (tmp_path / "recorders.err").read_text()
    observed = measured(tmp_path)
    promised = [criterion for criterion in criteria_file.load().criteria if criterion.look in LOOKS]
    recorded = {
        check.measurement
        for criterion in promised
        for check in criterion.checks
        if not (check.closing or check.on_copy)
    }
    assert recorded <= observed.keys()
    optional = {check.measurement for criterion in promised for check in criterion.checks if check.optional}
    for name, measurement in observed.items():
        assert measurement.n > 0 or name in optional, measurement
        assert measurement.window_s >= LOOKS[name.partition(".")[0]]["window_s"], measurement
    clients = {
        name: observed[f"soak.{name}"].value for name in ("clients_connected", "violation_delivered", "alert_delivered")
    }
    assert set(clients.values()) == {50}, observed
    assert (observed["soak.drops"].value, observed["soak.bad_messages"].value) == (0, 0)
    assert 2.9 < observed["soak.stats_gap"].value < 6  # every 5 s, in a window of 6 s
    assert 20 < observed["memory.peak"].value < 300
    assert observed["log.read_from_start"].value is True
    assert rules(server) == before
    assert {path.stem for path in (tmp_path / "timelines").iterdir()} == LOOKS.keys()
    assert TOKEN not in "".join(path.read_text() for path in tmp_path.rglob("*") if path.is_file())


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_stop_removes_the_rule_and_keeps_the_window(tmp_path: Path, number: int, code: int) -> None:
    """A stop keeps the measurements, with their short window, and leaves no rule in the target."""
    fake = Server()
    with serving(*fake.routes) as url, recorders(tmp_path, _long(), target(url)) as process:
        until(lambda: bool(fake.rules))
        began = time.monotonic()
        process.send_signal(number)
        assert process.wait(10) == code
        assert time.monotonic() - began < 5
        until(lambda: not fake.rules)
    assert fake.rule_requests[-1] == "DELETE"
    observed = measured(tmp_path)
    assert (observed["soak.clients_connected"].value, observed["soak.drops"].value) == (3, 0)
    assert all(measurement.window_s < 10 for measurement in observed.values())
    assert (observed["soak.alert_delivered"].n, observed["soak.reconnect"].n) == (0, 0)
    assert "stopped before this event" in observed["soak.reconnect"].notes[0]
    assert stage.timeline_of(tmp_path, "soak")


def test_it_ends_with_the_gate(tmp_path: Path) -> None:
    """The end of standard input stops the recorders and removes the rule."""
    fake = Server()
    with serving(*fake.routes) as url, recorders(tmp_path, _long(), target(url)) as process:
        until(lambda: bool(fake.rules))
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(10) == 1
        until(lambda: not fake.rules)
        process.stdin = None  # communicate() would flush it
    assert measured(tmp_path)["soak.drops"].window_s < 10


def test_no_secret_of_the_gate_is_quoted_from_a_log(tmp_path: Path) -> None:
    """Secrets are redacted, also foreign ones, as notes quote log lines."""
    log = tmp_path / "server.log"
    log.write_text('{"level": "error", "msg": "refused: key sk-canary"}\n')
    given = target(
        "http://127.0.0.1:9", log=LogLocation(str(log)), process=known(os.getpid(), log), secrets=("sk-canary",)
    )
    with recorders(tmp_path, {"log": {"window_s": 0.1}}, given) as process:
        assert process.wait(20) == 0
    assert "refused: key ***" in measured(tmp_path)["log.errors"].notes[0]


def test_a_look_that_breaks_does_not_break_the_others(tmp_path: Path) -> None:
    """A broken recorder reports its error, without samples, and the exit code is 1."""
    looks = {"connections": {"window_s": 0.1}, "memory": {"window_s": 0.1, "interval_s": 0.1}}  # without its interval
    with recorders(tmp_path, looks, target("http://127.0.0.1:9")) as process:
        assert process.wait(20) == 1
    observed = measured(tmp_path)
    assert observed.keys() == {*(f"connections.{name}" for name in ("peak_of_pool", "idle_in_transaction", "waiters")),
                           "memory.peak", "memory.series"}  # fmt: skip
    assert "the look connections broke" in observed["connections.waiters"].notes[0]
    assert {measurement.n for measurement in observed.values()} == {0}


@pytest.mark.parametrize(
    ("given", "looks", "why"),
    [
        (None, {"memory": {"window_s": 1, "interval_s": 1}}, "standard input: no target"),
        (target("http://127.0.0.1:9"), {"log": {"window_s": 1}, "moon": {"window_s": 1}}, "moon unknown; known: log"),
    ],
)
def test_a_bad_argument_gives_one_line(
    tmp_path: Path, given: Target | None, looks: dict[str, dict[str, float]], why: str
) -> None:
    """Bad arguments give exit code 4 without a traceback."""
    argv = [sys.executable, "-m", "gaia_checks.recorders", "--folder", str(tmp_path), "--looks", json.dumps(looks)]
    line = (json.dumps(given.to_json()) if given else "nonsense") + "\n"
    process = subprocess.Popen(argv, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdin is not None
    assert process.stderr is not None
    with process:
        process.stdin.write(line)
        process.stdin.flush()
        said = process.stderr.read()
    assert (process.returncode, said.count("\n")) == (4, 1)
    assert why in said


def _long() -> dict[str, dict[str, float]]:
    return {"soak": {"clients": 3, "window_s": 10}, "memory": {"window_s": 60, "interval_s": 1}}

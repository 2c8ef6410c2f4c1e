"""Tests of the load as the gate starts it, against a real server with injected faults."""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from gaia_checks import jsonl
from gaia_checks.deploy.supervisor.spawn import free_port
from gaia_checks.environment.project import ROOT
from gaia_checks.judge import statistics
from gaia_checks.load import load_run
from gaia_checks.load.results import result_files
from gaia_checks.model import Measurement, Target
from tests.load.processes import requests, running, server, wait_for

SMOKE = ROOT / "locustfiles" / "smoke.py"


def measured(folder: Path) -> dict[str, Measurement]:
    """Return the measurements in a folder, by name."""
    observed = map(Measurement.from_json, jsonl.read(folder / "measurements.jsonl"))
    return {measurement.name.removeprefix("load."): measurement for measurement in observed}


def load(
    base_url: str,
    folder: Path,
    *,
    rate_per_s: float = 100,
    window_s: float,
    looks_s: tuple[float, ...] = (),
    locustfile: Path = SMOKE,
) -> int:
    """Run one load until it finishes."""
    messages: list[str] = []
    return load_run.run(
        Target("local", base_url, "20261123T120102Z-3fa9c1", admin_token="canary-token"),
        folder,
        rate_per_s=rate_per_s,
        window_s=window_s,
        log=messages.append,
        cancelled=lambda: False,
        looks_s=looks_s,
        locustfile=locustfile,
    )


def percentile_ms(measurement: Measurement, percentile: float) -> float:
    """Return a percentile of a recorded latency."""
    return statistics.Latencies([statistics.decode(text) for text in measurement.value]).percentile_ms(percentile)


def test_the_command_line_is_a_value() -> None:
    """The run time is rounded up to seconds, and the command line contains neither key nor token."""
    argv = load_run.command("http://h:1", Path("/r"), rate_per_s=2.5, window_s=59.2, locustfile=Path("/f.py"))
    assert argv == (
        sys.executable, "-m", "locust", "--locustfile", "/f.py", "--headless", "--only-summary",
        "--loglevel", "WARNING", "--host", "http://h:1", "--rate", "2.5", "--run-time", "60s", "--folder", "/r",
        "--end-with-parent",
    )  # fmt: skip


def test_stalls_of_the_machine_stand_beside_the_blocks(tmp_path: Path) -> None:
    """The observer and the load share a clock: what held the observer up in the load is in one of its blocks."""
    argv = [sys.executable, "-m", "gaia_checks.recorders.resources.machine_stalls", "--folder", str(tmp_path)]
    observer = subprocess.Popen(argv, stdin=subprocess.PIPE)
    timeline = tmp_path / "timelines" / "load.jsonl"

    def hold_up() -> None:
        wait_for(timeline.exists)  # the load's first second is over
        os.kill(observer.pid, signal.SIGSTOP)
        time.sleep(0.4)  # the stall itself
        os.kill(observer.pid, signal.SIGCONT)

    holding = threading.Thread(target=hold_up)
    try:
        holding.start()
        with server() as base_url:
            assert load(base_url, tmp_path, window_s=4) == 0
        holding.join()
    finally:
        observer.kill()
        observer.communicate()
    stalls, outcomes = measured(tmp_path)["machine_stalls"], measured(tmp_path)["outcomes"]
    assert len(stalls.value["stalled_s"]) == len(outcomes.value["blocks"]) == 1
    assert stalls.window_s == outcomes.window_s
    assert 0.35 <= stalls.value["longest_s"] <= stalls.value["stalled_s"][0] + 0.001


def test_a_stall_is_measured_in_full(tmp_path: Path) -> None:
    """A server that stalls for 1 of 6 seconds has a p90 near 400 ms and a p99 near 940 ms.

    Requests due x seconds into the stall wait 1 - x: a tenth of all wait longer than 1 - 0.6, a hundredth longer
    than 1 - 0.06. A closed loop would report milliseconds.
    """
    with server(stall=[2, 1]) as url:
        assert load(url, tmp_path, window_s=6) == 0
    observed = measured(tmp_path)
    assert percentile_ms(observed["latency"], 90) == pytest.approx(400, abs=120)
    assert percentile_ms(observed["latency"], 99) == pytest.approx(940, abs=120)
    assert (observed["latency"].n, observed["outcomes"].n, observed["outcomes"].value["failures"]) == (600, 600, 0)
    assert (observed["sent_of_intended"].value, observed["served_of_sent"].value) == (1.0, 1.0)
    assert all(measurement.window_s == 6 for measurement in observed.values())
    assert 0 < observed["generator_cpu"].value < 1
    seconds = list(jsonl.read(tmp_path / result_files.TIMELINE))
    assert [(second["t"], second["of"]) for second in seconds[-1:]] == [(6, 6)]
    assert sum(second["done"] for second in seconds) == sum(second["intended"] for second in seconds) == 600


def test_looks_are_measured_while_the_load_continues_until_enough(tmp_path: Path) -> None:
    """The look after 2 s is complete and precedes the stall; the load continues until `enough`."""
    looks: list[str] = []
    with server(stall=[2.5, 0.5]) as url:
        code = load_run.run(
            Target("local", url, "20261123T120102Z-3fa9c1"), tmp_path, rate_per_s=50, window_s=40, looks_s=(2, 4),
            log=looks.append, cancelled=lambda: False, locustfile=SMOKE,
            enough=lambda: "load.looks" in names(tmp_path) and len(list(looks_measured(tmp_path))) == 2,
        )  # fmt: skip
    assert (code, looks) == (0, [])
    first, second = looks_measured(tmp_path)
    assert [(each["outcomes"].n, each["outcomes"].window_s) for each in (first, second)] == [(100, 2), (200, 4)]
    assert percentile_ms(first["latency"], 100) < 400 < percentile_ms(second["latency"], 100)
    assert [each["served_of_sent"].value for each in (first, second)] == [1.0, 1.0]
    assert not (tmp_path / result_files.RESULT).exists()


def on_another_filesystem(path: Path) -> Path:
    """Return a folder that files of `path` cannot be renamed into."""
    return next(folder for folder in (Path("/dev/shm"), ROOT) if folder.stat().st_dev != path.stat().st_dev)


def test_what_is_known_so_far_reaches_another_filesystem(tmp_path: Path) -> None:
    """Reports may be on a volume and temporary files on a tmpfs; the evidence keeps no file of the way there."""
    with (
        tempfile.TemporaryDirectory(dir=on_another_filesystem(tmp_path)) as folder,
        server() as url,
    ):
        channel = Path(folder)
        code = load_run.run(
            Target("local", url, "20261123T120102Z-3fa9c1"), tmp_path, rate_per_s=50, window_s=20, log=print,
            cancelled=lambda: False, locustfile=SMOKE, so_far=channel, enough=(channel / "load.json").exists,
        )  # fmt: skip
        known = [each["name"] for each in json.loads((channel / "load.json").read_text())]
    assert code == 0
    assert "load.outcomes" in known
    assert not list(tmp_path.glob("*so_far*"))


def names(folder: Path) -> list[str]:
    """Return the names of all measurements so far."""
    return [record["name"] for record in jsonl.read(folder / "measurements.jsonl")]


def looks_measured(folder: Path) -> Iterator[dict[str, Measurement]]:
    """Yield the measurements of every complete look."""
    look: dict[str, Measurement] = {}
    for measurement in map(Measurement.from_json, jsonl.read(folder / "measurements.jsonl")):
        look[measurement.name.removeprefix("load.")] = measurement
        if measurement.name == "load.looks":
            yield look
            look = {}


def test_looks_near_the_end_are_measured(tmp_path: Path) -> None:
    """A load that finishes by itself has all its looks, the last one over everything."""
    with server() as url:
        assert load(url, tmp_path, rate_per_s=50, window_s=3, looks_s=(1, 2)) == 0
    observed = [Measurement.from_json(record) for record in jsonl.read(tmp_path / "measurements.jsonl")]
    outcomes = [(each.n, each.window_s) for each in observed if each.name == "load.outcomes"]
    assert outcomes == [(50, 1), (100, 2), (150, 3)]


def test_failures_of_the_server_are_counted_and_described(tmp_path: Path) -> None:
    """A second each of 500s, invalid bodies and closed connections fails 100 requests, and none is dropped."""
    with server(fail=[1, 1], bad_body=[2, 1], refuse=[3, 1]) as url:
        assert load(url, tmp_path, window_s=5) == 0
    observed = measured(tmp_path)
    assert observed["outcomes"].n == 500
    assert observed["outcomes"].value["failures"] == pytest.approx(300, abs=20)
    assert observed["generator_errors"].value == 0
    assert re.match(r"GET /health: status 500 instead of 200, due at [01]\.\d", observed["outcomes"].notes[0])
    assert percentile_ms(observed["latency"], 99) == pytest.approx(10_000, rel=0.01)


def test_connections_that_the_server_closes_when_idle_cost_nothing(tmp_path: Path) -> None:
    """No request fails when the server closes idle connections after 0.1 s and requests come every 0.4 s."""
    with server(idle_s=0.1) as url:
        assert load(url, tmp_path, rate_per_s=2.5, window_s=3) == 0
    observed = measured(tmp_path)
    assert (observed["outcomes"].n, observed["outcomes"].value["failures"]) == (8, 0)
    met = re.search(r"; (\d+) met a closed connection", observed["generator_errors"].how)
    assert met is not None
    assert int(met[1]) >= 5


def test_a_refused_connection_is_a_failure_of_the_server(tmp_path: Path) -> None:
    """Every request is sent and fails; the load is measured."""
    assert load(f"http://127.0.0.1:{free_port()}", tmp_path, rate_per_s=20, window_s=1) == 0
    observed = measured(tmp_path)
    assert (observed["outcomes"].value["failures"], observed["outcomes"].n) == (20, 20)
    assert "Connection refused" in observed["outcomes"].notes[0]


def test_a_limit_that_refuses_the_load_is_named(tmp_path: Path) -> None:
    """429s are counted separately: a limit below the rate is not a broken server."""
    with server(status=429, headers='RateLimit: "r";r=0\r\n') as url:
        assert load(url, tmp_path, rate_per_s=20, window_s=1) == 0
    limited = measured(tmp_path)["limited"]
    assert (limited.value, limited.n) == (20, 20)
    assert limited.notes[0].startswith('GET /health: status 429 instead of 200, by the limit "r";r=0')


def test_refusals_that_name_no_limit_count_against_the_server(tmp_path: Path) -> None:
    """A 429 without a limit's headers is a failed request, and no excuse for the load."""
    with server(status=429) as url:
        assert load(url, tmp_path, rate_per_s=20, window_s=1) == 0
    observed = measured(tmp_path)
    assert observed["limited"].value == 0
    assert observed["outcomes"].value["failures"] == 20
    assert "by the limit (not named in the response)" in observed["outcomes"].notes[0]


def test_the_quota_mix_mostly_reads_and_removes_its_rule(tmp_path: Path) -> None:
    """The load creates one rule, updates it now and then, and deletes it at the end; all other requests are reads."""
    with server() as url:
        assert load(url, tmp_path, window_s=2, locustfile=load_run.LOCUSTFILES["load"]) == 0
        counts = requests(url)
    assert measured(tmp_path)["outcomes"].value["failures"] == 0
    assert counts == {"POST": 1, "GET": 198, "PUT": 2, "DELETE": 1}


def test_a_load_that_cannot_start_reports_the_reason(tmp_path: Path) -> None:
    """Without the rule that the mix needs nothing is measured, and the reason is recorded."""
    with server(status=200) as url:
        code = load(url, tmp_path, window_s=30, locustfile=load_run.LOCUSTFILES["load"])
    observed = measured(tmp_path)
    assert code == 8
    assert {measurement.n for measurement in observed.values()} == {0}
    assert "status 200 instead of 201" in observed["latency"].notes[0]


def test_a_locustfile_that_crashes_measured_nothing(tmp_path: Path) -> None:
    """Without a complete result nothing is measured, whatever locust's exit code."""
    broken = tmp_path / "broken.py"
    broken.write_text("import sys\nsys.exit(0)\n")
    assert load("http://127.0.0.1:9", tmp_path, window_s=1, locustfile=broken) == 8
    assert {measurement.n for measurement in measured(tmp_path).values()} == {0}


def test_no_secret_is_on_a_command_line_or_in_a_file(tmp_path: Path) -> None:
    """The token is passed only in the environment of locust."""
    with server() as url:
        assert load(url, tmp_path, rate_per_s=5, window_s=1) == 0
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and b"canary-token" in path.read_bytes()]


@pytest.mark.parametrize("how", ["SIGTERM", "SIGINT", "end of input", "SIGKILL"])
def test_a_load_that_is_stopped_early_measures_nothing(how: str, tmp_path: Path) -> None:
    """A signal or the exit of the gate stops the load at once; its timeline remains, but no process and no rule."""
    with server() as url:
        process = subprocess.Popen(
            [sys.executable, "-m", "gaia_checks.load", "--folder", str(tmp_path), "--rate-per-s", "50",
             "--window-s", "60"],
            cwd=ROOT, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert process.stdin
        process.stdin.write(json.dumps(Target("local", url, "20261123T120102Z-3fa9c1").to_json()) + "\n")
        process.stdin.flush()
        try:
            wait_for((tmp_path / result_files.TIMELINE).exists)
            children = psutil.Process(process.pid).children(recursive=True)
            if how == "end of input":
                process.stdin.close()
            else:
                os.kill(process.pid, signal.Signals[how])
            assert process.wait(15) != 0
            wait_for(lambda: not [child for child in children if running(child)])
            assert requests(url)["DELETE"] == requests(url)["POST"] == 1
        finally:
            process.kill()
            process.wait()
            process.stdin.close()
            process.stderr.close()  # type: ignore[union-attr]
    assert measured(tmp_path) == {}
    assert not (tmp_path / result_files.RESULT).exists()


@pytest.mark.parametrize(
    ("argv", "text"),
    [(["--folder", "x"], "required"), (["--folder", "x", "--rate-per-s", "1", "--window-s", "1"], "no target")],
)
def test_wrong_usage_is_one_line_and_exit_4(argv: list[str], text: str) -> None:
    """A missing option or target is reported in one line."""
    done = subprocess.run(
        [sys.executable, "-m", "gaia_checks.load", *argv],
        cwd=ROOT,
        input="",
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, text in done.stderr, done.stderr.count("\n")) == (4, True, 1)

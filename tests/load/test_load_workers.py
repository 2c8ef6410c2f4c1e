"""A load that workers on other machines send: machines of the test's own, one of them far away, lost or late."""

import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from gaia_checks import jsonl
from gaia_checks.deploy.supervisor.spawn import free_port
from gaia_checks.environment.environment import LoadSettings
from gaia_checks.environment.project import ROOT
from gaia_checks.judge import statistics
from gaia_checks.load import load_run
from gaia_checks.load.results import result_files
from gaia_checks.model import Measurement, Names, Target
from tests.load.processes import requests, result, server, wait_for
from tests.support import network

RATE_PER_S = 40


@dataclass
class Load:
    """A load in a thread, and the workers that it waits for."""

    folder: Path
    target: str
    settings: LoadSettings
    window_s: float
    looks_s: Sequence[float] = ()
    enough: threading.Event = field(default_factory=threading.Event)
    messages: list[str] = field(default_factory=list)
    code: int | None = None
    cancelled: threading.Event = field(default_factory=threading.Event)
    adapter: str = ""

    def run(self) -> None:
        """Send it."""
        self.code = load_run.run(
            Target("local", self.target, "20261123T120102Z-3fa9c1", names=Names(adapter=self.adapter)), self.folder,
            rate_per_s=RATE_PER_S,
            window_s=self.window_s, log=self.messages.append, cancelled=self.cancelled.is_set, settings=self.settings,
            looks_s=self.looks_s, enough=self.enough.is_set,
        )  # fmt: skip

    @property
    def measured(self) -> Mapping[str, Measurement]:
        """What was measured, by name."""
        observed = map(Measurement.from_json, jsonl.read(self.folder / "measurements.jsonl"))
        return {measurement.name.removeprefix("load."): measurement for measurement in observed}

    def sent(self, worker: "subprocess.Popen[bytes]") -> dict[str, Any]:
        """Return what one worker sent."""
        return next(each for each in result(self.folder)["by_worker"] if f"(pid {worker.pid})" in each["name"])


@contextmanager
def load(
    folder: Path,
    target: str,
    master: str,
    *,
    workers: int,
    window_s: float,
    join_within_s: float = 60,
    adapter: str = "",
) -> Iterator[tuple[Load, threading.Thread]]:
    """Start a load that waits for workers at `master`; cancel it at the end if it still runs."""
    settings = LoadSettings(workers=workers, master=f"{master}:{free_port()}", join_within_s=join_within_s)
    made = Load(folder, target, settings, window_s, adapter=adapter)
    thread = threading.Thread(target=made.run)
    thread.start()
    try:
        yield made, thread
    finally:
        made.cancelled.set()
        thread.join()


@contextmanager
def worker(
    of: Load,
    where: "network.Machine | None" = None,
    options: Sequence[str] = (),
    clone: Path = ROOT,
    prefix: Sequence[str] = (),
    **variables: str,
) -> Iterator["subprocess.Popen[bytes]"]:
    """Start a worker, on another machine if one is given, from this clone of gaia-checks, by way of `prefix`."""
    argv = (sys.executable, "-m", "gaia_checks.cli", "load", "worker", "--master", of.settings.master, *options)
    process = subprocess.Popen(
        where.command(*argv) if where else (*prefix, *argv), cwd=clone, env={**os.environ, **variables}
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def test_a_far_worker_sends_its_exact_part(tmp_path: Path) -> None:
    """Its link takes 100 ms one way and loses packets: its latencies show that, and nothing is lost in the sum.

    The half of the requests that it sends takes 200 ms or more, and is merged with the other half without loss.
    """
    with (
        network.slow_machine(delay_s=0.1, lose_every=50) as far,
        server(host=far.here) as url,
        load(tmp_path, url, far.here, workers=2, window_s=6) as (sending, thread),
        worker(sending) as near,
        worker(sending, far) as remote,
    ):
        thread.join(90)
        assert (sending.code, near.wait(30), remote.wait(30)) == (0, 0, 0), sending.messages
        received = sum(requests(url).values())
    observed = sending.measured
    assert received >= 240  # and the rules that the workers create and remove
    assert observed["outcomes"].value["blocks"] == [[240, 0]]
    assert (sending.sent(near)["done"], sending.sent(remote)["done"]) == (120, 120)
    latencies = [statistics.decode(text) for text in observed["latency"].value]
    assert sum(each.get_total_count() for each in latencies) == 240
    assert statistics.Latencies(latencies).percentile_ms(51) >= 200
    assert sending.sent(remote)["latency_p99_ms"] >= 200
    assert 100 <= sending.sent(remote)["clock_uncertain_ms"] < 1000
    assert sending.sent(near)["clock_uncertain_ms"] < sending.sent(remote)["clock_uncertain_ms"]
    assert observed["workers"].value == 2
    if sending.sent(remote)["lateness_max_ms"] < 100:  # both began together, by the master's clock
        first = next(iter(jsonl.read(tmp_path / result_files.TIMELINE)))
        assert first["intended"] == pytest.approx(RATE_PER_S, abs=8)


def test_a_worker_whose_clock_differs_begins_with_the_others(tmp_path: Path) -> None:
    """Its monotonic clock is 500 s ahead, as on a machine that started earlier; nothing is sent late for that."""
    ahead = ("unshare", "--time", "--monotonic", "500", "--fork", "--kill-child")
    with (
        server() as url,
        load(tmp_path, url, "127.0.0.1", workers=2, window_s=4) as (sending, thread),
        worker(sending) as near,
        worker(sending, prefix=ahead) as other,
    ):
        thread.join(90)
        assert (sending.code, near.wait(30), other.wait(30)) == (0, 0, 0), sending.messages
    assert [worker["done"] for worker in result(tmp_path)["by_worker"]] == [80, 80]
    assert sending.measured["send_lateness_max"].value < 100_000
    first = next(iter(jsonl.read(tmp_path / result_files.TIMELINE)))
    assert first["intended"] <= 2 * RATE_PER_S


def test_a_machine_that_is_lost_leaves_the_load_undecided(tmp_path: Path) -> None:
    """The link of one of two workers is cut in the middle: it is named, and the load measures nothing."""
    with (
        network.machine() as gone,
        server(host=gone.here) as url,
        load(tmp_path, url, gone.here, workers=2, window_s=60) as (sending, thread),
        worker(sending) as near,
        worker(sending, gone) as lost,
    ):
        wait_for((tmp_path / result_files.TIMELINE).exists, 90)
        gone.cut()
        thread.join(60)
        assert (sending.code, near.wait(30)) == (8, 0)
        assert lost.wait(60) == 8  # it does not go on for a master that it has lost
    why = sending.measured["outcomes"].notes[0]
    assert why.startswith("1 of 2 workers was lost: "), why
    assert why.endswith(f"(pid {lost.pid}): what it sent is not known"), why
    assert sending.measured["latency"].value is None


def test_a_worker_that_comes_late_is_waited_for(tmp_path: Path) -> None:
    """Its machine is connected when the other worker has long joined; together they send everything."""
    with (
        network.machine() as late,
        server(host=late.here) as url,
        load(tmp_path, url, late.here, workers=2, window_s=4) as (sending, thread),
    ):
        late.cut()
        with worker(sending) as early, worker(sending, late) as second:
            wait_for(lambda: joined(sending, early), 60)
            late.join()
            thread.join(90)
            assert (sending.code, early.wait(30), second.wait(30)) == (0, 0, 0), sending.messages
            assert (sending.sent(early)["done"], sending.sent(second)["done"]) == (80, 80)
    assert sending.measured["outcomes"].n == 160


def joined(sending: Load, process: "subprocess.Popen[bytes]") -> bool:
    """Whether a worker's connection to the master is open."""
    port = int(sending.settings.master.rpartition(":")[2])
    connections = psutil.Process(process.pid).net_connections("tcp")
    return any(each.raddr and each.raddr.port == port for each in connections if each.status == "ESTABLISHED")


@pytest.mark.parametrize("differs", ["mix", "version", "adapter"])
def test_a_worker_of_another_kind_is_refused_by_name(
    differs: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Another mix, or another version, would send other requests: it may not join, and the message names it."""
    mix = ("--locustfile", str(ROOT / "locustfiles" / "smoke.py"))
    clone = another_version(tmp_path / "clone") if differs == "version" else ROOT
    options = {"mix": mix, "adapter": ("--adapter", str(written(tmp_path)))}.get(differs, ())
    with (
        server() as url,
        load(tmp_path, url, "127.0.0.1", workers=1, window_s=3, join_within_s=300) as (sending, thread),
        worker(sending, options=options, clone=clone) as other,
    ):
        assert other.wait(280) == 4
        sending.cancelled.set()
        thread.join(60)
        assert sending.code == 8
        assert sum(requests(url).values()) == 0
    says = {
        "mix": "its mix is smoke.py (",
        "version": "it has gaia-checks 0.0.1, and the master ",
        "adapter": ", and the master no adapter; start it without --adapter",
    }
    lines = capfd.readouterr().err.splitlines()
    (why,) = [line for line in lines if line.startswith("refused the worker ")]
    assert why.startswith(f"refused the worker {socket.gethostname()} (pid {other.pid}): it"), why
    assert says[differs] in why, why


def test_a_load_without_its_workers_names_those_that_were_refused(tmp_path: Path) -> None:
    """The verdict of the gate shows why nobody joined."""
    with (
        server() as url,
        load(tmp_path, url, "127.0.0.1", workers=1, window_s=3, join_within_s=60) as (sending, thread),
        worker(sending, options=("--locustfile", str(ROOT / "locustfiles" / "smoke.py"))) as other,
    ):
        thread.join(150)
    why = sending.measured["outcomes"].notes[0]
    refused = f"refused {socket.gethostname()} (pid {other.pid}): its mix is smoke.py ("
    assert why.startswith(f"0 of 1 workers joined within 60 s; {refused}"), why


def test_a_worker_translates_by_the_adapter_that_it_was_given(tmp_path: Path) -> None:
    """It is a file of its own machine; the master compares it with the gate's, and sends none."""
    file = written(tmp_path)
    with (
        server() as url,
        load(tmp_path, url, "127.0.0.1", workers=2, window_s=3, join_within_s=300, adapter=ADAPTER) as (
            sending,
            thread,
        ),
        worker(sending) as without,
    ):
        assert without.wait(120) == 4
        with worker(sending, options=("--adapter", str(file))), worker(sending, options=("--adapter", str(file))):
            thread.join(400)
    assert sending.code == 0, sending.messages
    served = sending.measured["served_of_sent"]
    assert served.value < 0.1  # only PUT is left as it came
    assert served.n == 3 * RATE_PER_S
    assert "status 418 instead of 200" in served.notes[0]


def test_a_worker_outlives_the_shell_that_started_it(tmp_path: Path) -> None:
    """Its load is the gate's, on another machine; only the gate's own processes end with their parent."""
    with (
        server() as url,
        load(tmp_path, url, "127.0.0.1", workers=1, window_s=5, join_within_s=120) as (sending, thread),
    ):
        argv = (sys.executable, "-m", "gaia_checks.cli", "load", "worker", "--master", sending.settings.master)
        shell = subprocess.Popen(("sh", "-c", '"$@" & read line', "sh", *argv), cwd=ROOT, stdin=subprocess.PIPE)
        wait_for(lambda: sum(requests(url).values()), within_s=120)
        shell.communicate()
        thread.join(120)
    assert sending.code == 0, sending.messages
    assert sending.measured["outcomes"].n == 5 * RATE_PER_S


def test_what_a_worker_says_of_itself_steers_no_terminal(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Its name comes from another machine, unauthenticated."""
    code = (
        "import socket, sys; socket.gethostname = lambda: 'x\\x1b[2J'; from locust.main import main; sys.exit(main())"
    )
    with (
        server() as url,
        load(tmp_path, url, "127.0.0.1", workers=1, window_s=3, join_within_s=300) as (sending, _),
    ):
        host, _, port = sending.settings.master.partition(":")
        argv = (
            sys.executable, "-c", code, "--locustfile", str(ROOT / "locustfiles" / "smoke.py"), "--worker",
            "--master-host", host, "--master-port", port,
        )  # fmt: skip
        other = subprocess.Popen(argv, cwd=ROOT, stderr=subprocess.DEVNULL)  # locust's own log has it as it is
        assert other.wait(280) == 4
    told = capfd.readouterr().err
    assert "refused the worker x\\x1b[2J (pid " in told
    assert "\x1b[2J" not in told


def test_a_worker_sends_to_its_own_target_only(tmp_path: Path) -> None:
    """Whoever has the master's port may name any: a worker with a token sends nothing there. The evidence shows it."""
    with (
        server() as named,
        server() as own,
        load(tmp_path, named, "127.0.0.1", workers=1, window_s=3) as (sending, thread),
        worker(sending, options=("--target", own), GAIA_ADMIN_TOKEN="canary-token") as careful,
    ):
        thread.join(90)
        assert (sending.code, careful.wait(30)) == (0, 0), sending.messages
        assert sum(requests(named).values()) == 0
        assert sum(requests(own).values()) >= 120
    assert sending.sent(careful)["url"] == own
    assert "canary-token" not in (tmp_path / "load.json").read_text()


@pytest.mark.parametrize(
    ("options", "variables", "message"),
    [
        (("--master", "gate:x"), {}, "gaia: --master: 'gate:x' is no HOST or HOST:PORT; write e.g. gate-1:5557"),
        *(
            (
                ("--master", "127.0.0.1", "--target", target), {},
                "gaia: --target: no http URL without user and password; write e.g. https://qa:8080",
            )
            for target in ("qa:8080", "http://me:canary@qa")
        ),
        (
            ("--master", "127.0.0.1"), {"GAIA_ADMIN_TOKEN": "canary"},
            "gaia: GAIA_ADMIN_TOKEN is set: name the target that it may be sent to, e.g. --target https://qa:8080",
        ),
    ],
)  # fmt: skip
def test_a_wrong_command_is_refused(options: tuple[str, ...], variables: dict[str, str], message: str) -> None:
    """In one line that says what to write."""
    done = subprocess.run(
        (sys.executable, "-m", "gaia_checks.cli", "load", "worker", *options),
        cwd=ROOT, env={**os.environ, **variables}, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr.strip()) == (4, message)


def test_a_gate_that_needs_no_more_ends_the_load_of_its_workers(tmp_path: Path) -> None:
    """What they sent until its first analysis is measured, and none of them has failed."""
    enough = threading.Event()
    settings = LoadSettings(workers=2, master=f"127.0.0.1:{free_port()}")
    with server() as url:
        sending = Load(tmp_path, url, settings, window_s=60, looks_s=(3,), enough=enough)
        with worker(sending) as first, worker(sending) as second:
            thread = threading.Thread(target=sending.run)
            thread.start()
            wait_for((tmp_path / "measurements.jsonl").exists, 90)
            enough.set()
            thread.join(60)
            assert (sending.code, first.wait(30), second.wait(30)) == (0, 0, 0)
    assert sending.measured["outcomes"].n == 120
    assert sending.measured["workers"].value == 2


def test_an_address_that_is_not_this_machines_is_named(tmp_path: Path) -> None:
    """Nobody can join there, so nobody is waited for."""
    sending = Load(tmp_path, "http://127.0.0.1:9", LoadSettings(workers=2, master="192.0.2.1:5557"), window_s=3)
    sending.run()
    assert sending.code == 8
    assert sending.measured["outcomes"].notes == (
        "no worker can join at 192.0.2.1:5557: Cannot assign requested address; see: gaia doctor local",
    )


def test_processes_of_this_machine_send_the_same_load(tmp_path: Path) -> None:
    """Without any worker from elsewhere; the stalls of this machine are those of the workers."""
    target = Target("local", "", "20261123T120102Z-3fa9c1")
    with server() as url:
        code = load_run.run(
            replace(target, base_url=url), tmp_path, rate_per_s=RATE_PER_S, window_s=3, log=print,
            cancelled=lambda: False, settings=LoadSettings(processes=2),
        )  # fmt: skip
    assert code == 0
    assert [worker["done"] for worker in result(tmp_path)["by_worker"]] == [60, 60]
    assert result(tmp_path)["started_s"] is not None


ADAPTER = """
from dataclasses import replace
from gaia_checks.contract.adapter import Adapter

class Ours(Adapter):
    def answer(self, request, answer):
        return replace(answer, status=418) if request.method == "GET" else answer
"""


def written(folder: Path) -> Path:
    """Write the adapter."""
    file = folder / "ours.py"
    file.write_text(ADAPTER)
    return file


def another_version(folder: Path) -> Path:
    """Return a clone of gaia-checks of another version."""
    for name in ("gaia_checks", "locustfiles"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "gaia_checks" / "__init__.py").write_text('__version__ = "0.0.1"\n')
    return folder

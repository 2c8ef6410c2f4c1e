"""Who may join a load, and how the clocks of two machines are compared."""

from dataclasses import replace
from pathlib import Path

import pytest

from gaia_checks import __version__
from gaia_checks.load.locust_plugin import membership
from gaia_checks.load.locust_plugin.membership import ClockReading, LoadProcess

MASTER = LoadProcess("gate", 1, "1.2.0", "quotas.py", "a" * 64, "machine-1")


def test_a_worker_with_the_same_version_and_mix_may_join() -> None:
    """Its host, its process and the name of its file do not matter."""
    assert replace(MASTER, host="other", pid=2, locustfile="copy.py").why_refused(MASTER) is None


@pytest.mark.parametrize(
    ("worker", "why"),
    [
        (
            replace(MASTER, version="1.1.0"),
            "it has gaia-checks 1.1.0, and the master 1.2.0; install that there",
        ),
        (
            replace(MASTER, locustfile="ours.py", sha256="b" * 64),
            (
                "its mix is ours.py (bbbbbbbbbbbb), and the master's quotas.py (aaaaaaaaaaaa); start it with "
                "--locustfile and the master's file"
            ),
        ),
        (
            replace(MASTER, adapter="c" * 64),
            "it has adapter cccccccccccc, and the master no adapter; start it without --adapter",
        ),
    ],
)
def test_another_version_mix_or_adapter_is_refused_with_what_to_do(worker: LoadProcess, why: str) -> None:
    """The message names both sides."""
    assert worker.why_refused(MASTER) == why


@pytest.mark.parametrize(("adapter", "its"), [("", "no adapter"), ("c" * 64, "adapter cccccccccccc")])
def test_a_master_with_an_adapter_wants_the_same_one(adapter: str, its: str) -> None:
    """Without it a worker would send other requests, or judge other answers."""
    why = replace(MASTER, adapter=adapter).why_refused(replace(MASTER, adapter="d" * 64))
    assert why == f"it has {its}, and the master adapter dddddddddddd; start it with --adapter and the gate's file"


def test_a_worker_of_a_version_that_says_less_is_refused_by_name() -> None:
    """What it does not say is empty; its version decides."""
    older = {"host": "other", "pid": 2, "version": "1.1.0", "locustfile": "quotas.py", "sha256": "a" * 64, "more": 1}
    why = LoadProcess.from_json(older).why_refused(MASTER)
    assert why == "it has gaia-checks 1.1.0, and the master 1.2.0; install that there"


def test_two_hosts_of_one_name_are_two_machines(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The system's boot id tells them apart, and joins the containers of one. Without it the host's name must do."""
    boot_id = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    assert membership.own([]).machine == boot_id
    monkeypatch.setattr(membership, "_BOOT_ID", tmp_path / "absent")
    assert membership.own([]).machine == membership.own([]).host


def test_a_load_process_describes_this_one(tmp_path: Path) -> None:
    """Every byte of its files counts, and nothing is lost on the way to the master."""
    first, second = tmp_path / "first.py", tmp_path / "second.py"
    first.write_text("mix = 1\n")
    second.write_text("mix = 2\n")
    one, other = membership.own([str(first)]), membership.own([str(first), str(second)])
    assert (one.version, one.locustfile, other.locustfile) == (__version__, "first.py", "first.py, second.py")
    assert one.sha256 != other.sha256
    assert LoadProcess.from_json(one.to_json()) == one


def test_the_quickest_exchange_gives_the_difference_of_the_clocks() -> None:
    """The master's monotonic clock is 1000 s ahead, its wall clock 2 s behind; the way takes 10 ms there and back."""
    slow = ClockReading(sent_s=0.0, received_s=0.4, wall_s=52.4, master_s=1000.3, master_wall_s=50.3)
    quick = ClockReading(sent_s=1.0, received_s=1.02, wall_s=53.02, master_s=1001.01, master_wall_s=51.01)
    found = membership.difference([slow, quick])
    assert found.to_master_s == pytest.approx(1000)
    assert found.wall_ahead_s == pytest.approx(2)
    assert found.uncertain_s == pytest.approx(0.01)


@pytest.mark.parametrize("there_s", [0.0, 0.05, 0.2])
def test_the_error_is_never_above_half_of_the_round_trip(there_s: float) -> None:
    """Also where one direction takes all of the time."""
    clocks = membership.difference([ClockReading(0.0, 0.2, 0.2, 500 + there_s, there_s)])
    assert abs(clocks.to_master_s - 500) <= clocks.uncertain_s + 1e-9
    assert abs(clocks.wall_ahead_s) <= clocks.uncertain_s + 1e-9

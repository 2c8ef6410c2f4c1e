"""Who may join a load, and how the clocks of two machines are compared."""

from dataclasses import replace
from pathlib import Path

import pytest

from gaia_checks import __version__
from gaia_checks.load.locust_plugin import membership
from gaia_checks.load.locust_plugin.membership import ClockReading, Member

MASTER = Member("gate", 1, "1.2.0", "quotas.py", "a" * 64)


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
    ],
)
def test_another_version_or_mix_is_refused_with_what_to_do(worker: Member, why: str) -> None:
    """The message names both sides."""
    assert worker.why_refused(MASTER) == why


def test_a_member_is_this_process(tmp_path: Path) -> None:
    """Every byte of its files counts, and nothing is lost on the way to the master."""
    first, second = tmp_path / "first.py", tmp_path / "second.py"
    first.write_text("mix = 1\n")
    second.write_text("mix = 2\n")
    one, other = membership.own([str(first)]), membership.own([str(first), str(second)])
    assert (one.version, one.locustfile, other.locustfile) == (__version__, "first.py", "first.py, second.py")
    assert one.sha256 != other.sha256
    assert Member.from_json(one.to_json()) == one


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

"""The back-off of a server that crashes."""

from gaia_checks.deploy.supervisor import backoff


def test_back_off_grows_to_a_limit_and_forgets() -> None:
    """0.1 s, doubling, at most 30 s; a minute of running makes the next crash the first again."""
    assert [backoff.delay_s(n) for n in (1, 2, 3, 10, 10_000)] == [0.1, 0.2, 0.4, 30, 30]
    assert backoff.crashes_in_a_row(4, uptime_s=59) == 5
    assert backoff.crashes_in_a_row(4, uptime_s=60) == 1

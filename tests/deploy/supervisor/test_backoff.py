"""The back-off between restarts of a crashed server."""

from gaia_checks.deploy.supervisor import backoff


def test_back_off_doubles_to_a_limit_and_resets() -> None:
    """The delay starts at 0.1 s and doubles up to 30 s; 60 s of uptime reset the count."""
    assert [backoff.delay_s(n) for n in (1, 2, 3, 10, 10_000)] == [0.1, 0.2, 0.4, 30, 30]
    assert backoff.consecutive_crashes(4, uptime_s=59) == 5
    assert backoff.consecutive_crashes(4, uptime_s=60) == 1

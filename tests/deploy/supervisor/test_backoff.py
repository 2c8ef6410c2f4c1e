"""The back-off of a server that crashes."""

import errno
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
import pytest
from gaia_checks import environment, journal
from gaia_checks.deploy import control, database, dump, executable, lint, lock, logfile, places, restart, story, tag
from gaia_checks.deploy.points import Point
from gaia_checks.errors import Busy, ConfigurationError, DeployError, MissingDependency


def test_back_off_grows_to_a_limit_and_forgets() -> None:
    """0.1 s, doubling, at most 30 s; a minute of running makes the next crash the first again."""
    assert [restart.delay_s(n) for n in (1, 2, 3, 10, 10_000)] == [0.1, 0.2, 0.4, 30, 30]
    assert restart.crashes_in_a_row(4, uptime_s=59) == 5
    assert restart.crashes_in_a_row(4, uptime_s=60) == 1

"""The lock of an environment."""

from pathlib import Path

import pytest

from gaia_checks.deploy.state import lock
from gaia_checks.errors import Busy


def test_the_lock_names_its_holder_and_is_free_afterwards(tmp_path: Path) -> None:
    """A second command gets the holder, start and purpose; after the release the lock is free."""
    path = tmp_path / "lock"
    with (
        lock.hold(path, environment="qa", why="deploy phase-1", since="2026-02-26T10:00:00.000Z"),
        pytest.raises(Busy, match=r"qa: busy: deploy phase-1 by \S+@\S+ \(pid \d+\) since 2026-02-26T10:00:00.000Z"),
        lock.hold(path, environment="qa", why="stop", since=""),
    ):
        pass
    with lock.hold(path, environment="qa", why="stop", since=""):
        pass

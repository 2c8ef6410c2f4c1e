"""Locks on files between processes."""

import subprocess
import sys
from pathlib import Path

import pytest

from gaia_checks import file_lock

OWNER = """
import sys
from gaia_checks import file_lock

file = open(sys.argv[1], "w")
file_lock.wait(file)
print(flush=True)
input()
"""


def test_a_lock_is_refused_until_its_process_ends(tmp_path: Path) -> None:
    """`acquire` is False, at once, while another process has locked the file; a killed process has released it."""
    path = tmp_path / "lock"
    other = subprocess.Popen((sys.executable, "-c", OWNER, path), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert other.stdout
    other.stdout.readline()
    with path.open("r+") as file:
        assert not file_lock.acquire(file)
        other.kill()
        other.communicate()
        assert file_lock.acquire(file.fileno())


def test_a_fault_of_the_file_is_not_taken_for_another_process() -> None:
    """An invalid descriptor is an error."""
    with pytest.raises(OSError, match="Bad file descriptor"):
        file_lock.acquire(10**6)

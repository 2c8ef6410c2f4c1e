"""The locustfiles run headless by themselves, as any CI would run them."""

import subprocess
import sys
from pathlib import Path

import pytest

from gaia_checks.environment import ROOT
from tests.load.test_run import server


def test_smoke_runs_by_hand(tmp_path: Path) -> None:
    """Locust's own table has our requests, and its exit code is 0."""
    with server() as url:
        done = locust("smoke.py", "-t", "1s", "--host", url, "--rate", "20", "--arrivals", "poisson", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "GET      /health" in done.stdout + done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("options", "text"), [((), "add e.g. -t 60s"), (("-t", "1s", "--arrivals", "x"), "poisson")])
def test_a_missing_or_wrong_option_is_said(options: tuple[str, ...], text: str, tmp_path: Path) -> None:
    """It says what to write and does not run."""
    done = locust("smoke.py", "--host", "http://127.0.0.1:9", *options, cwd=tmp_path)
    assert done.returncode != 0
    assert text in done.stderr


def locust(file: str, *options: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run locust to its end."""
    return subprocess.run(
        [sys.executable, "-m", "locust", "-f", str(ROOT / "locustfiles" / file), "--headless", *options],
        cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip

"""The processes that the tests of the load start: servers that misbehave on cue, and locust as a user starts it."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil

from gaia_checks.deploy.supervisor.spawn import free_port
from gaia_checks.environment import ROOT
from gaia_checks.load.results import thresholds
from gaia_checks.load.results.result_files import RESULT


@contextmanager
def server(**orders: Any) -> Iterator[str]:
    """Start a server that misbehaves as ordered; yield where it answers."""
    port = free_port()
    process = subprocess.Popen([sys.executable, "-m", "tests.load.server", str(port), json.dumps(orders)], cwd=ROOT)
    url = f"{'https' if 'tls' in orders else 'http'}://127.0.0.1:{port}"
    try:
        wait_for(lambda: answers(f"{url}/ready"))
        yield url
    finally:
        process.kill()
        process.wait()


def answers(url: str) -> bool:
    """Whether something answers there."""
    try:
        return httpx.get(url, trust_env=False, verify=False).is_success  # noqa: S501 - only whether it is there
    except httpx.TransportError:
        return False


def requests(url: str) -> dict[str, int]:
    """Return how many requests of each method a server saw."""
    counts: dict[str, int] = httpx.get(f"{url}/ready", trust_env=False).json()
    return counts


def wait_for(holds: Callable[[], object], within_s: float = 30) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < deadline, "it never came to hold"
        time.sleep(0.05)


def running(process: psutil.Process) -> bool:
    """Whether a process does something still."""
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def command(file: str | Path, url: str, *options: str, headless: bool = True) -> list[str]:
    """Return locust's command line for one of our locustfiles, or another file."""
    where = ROOT / "locustfiles" / file  # an absolute path stays what it is
    return [sys.executable, "-m", "locust", "-f", str(where), "--host", url, *options, *["--headless"] * headless]


def locust(file: str | Path, url: str, *options: str, cwd: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run locust to its end."""
    return subprocess.run(
        command(file, url, *options), cwd=cwd, env={**os.environ, **variables}, stdin=subprocess.DEVNULL,
        capture_output=True, text=True, timeout=90, check=False,
    )  # fmt: skip


@contextmanager
def starting(
    file: str | Path, url: str, *options: str, cwd: Path, headless: bool = True
) -> Iterator["subprocess.Popen[bytes]"]:
    """Start locust; it is gone afterwards, and so are its children. What it said is in `locust.err`."""
    with (cwd / "locust.err").open("wb") as said:
        process = subprocess.Popen(
            command(file, url, *options, headless=headless), cwd=cwd, stdin=subprocess.DEVNULL, stdout=said, stderr=said
        )
    try:
        yield process
    finally:
        for one in psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []:
            one.kill()
        process.kill()
        process.wait()


def result(folder: Path) -> dict[str, Any]:
    """Return what a load wrote at its end."""
    read: dict[str, Any] = json.loads((folder / RESULT).read_text())
    return read


def believed(folder: Path) -> bool:
    """Whether the generator could send as it should: on a busy machine it says that it could not, and exits with 8."""
    code, _ = thresholds.judge(result(folder), thresholds.Limits())
    return code == 0

"""Processes for the tests of the load: servers that inject faults, and locust as a user starts it."""

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
from gaia_checks.environment.project import ROOT
from gaia_checks.load.results import thresholds
from gaia_checks.load.results.result_files import RESULT
from tests.support import plain_http


@contextmanager
def server(**faults: Any) -> Iterator[str]:
    """Start a server with injected faults; yield its URL."""
    port = free_port()
    process = subprocess.Popen([sys.executable, "-m", "tests.load.server", str(port), json.dumps(faults)], cwd=ROOT)
    url = f"{'https' if 'tls' in faults else 'http'}://{faults.get('host', '127.0.0.1')}:{port}"
    try:
        wait_for(lambda: answers(f"{url}/ready"))
        yield url
    finally:
        process.kill()
        process.wait()


def answers(url: str) -> bool:
    """Whether a server answers at a URL."""
    try:
        return plain_http.get(url, trust_env=False).is_success
    except httpx.TransportError:
        return False


def requests(url: str) -> dict[str, int]:
    """Return the number of requests per method that a server received."""
    counts: dict[str, int] = plain_http.get(f"{url}/ready", trust_env=False).json()
    return counts


def wait_for(condition: Callable[[], object], within_s: float = 30) -> None:
    """Wait until a condition holds."""
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "the condition was not met in time"
        time.sleep(0.05)


def running(process: psutil.Process) -> bool:
    """Whether a process is still running."""
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def command(file: str | Path, url: str, *options: str, headless: bool = True) -> list[str]:
    """Return locust's command line for one of the project's locustfiles, or another file."""
    where = ROOT / "locustfiles" / file  # an absolute path stays what it is
    return [sys.executable, "-m", "locust", "-f", str(where), "--host", url, *options, *["--headless"] * headless]


def locust(file: str | Path, url: str, *options: str, cwd: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run locust until it exits."""
    return subprocess.run(
        command(file, url, *options), cwd=cwd, env={**os.environ, **variables}, stdin=subprocess.DEVNULL,
        capture_output=True, text=True, timeout=90, check=False,
    )  # fmt: skip


@contextmanager
def starting(
    file: str | Path, url: str, *options: str, cwd: Path, headless: bool = True
) -> Iterator["subprocess.Popen[bytes]"]:
    """Start locust with its output in `locust.err`; kill it and its children afterwards."""
    with (cwd / "locust.err").open("wb") as output:
        process = subprocess.Popen(
            command(file, url, *options, headless=headless),
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    try:
        yield process
    finally:
        for one in psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []:
            one.kill()
        process.kill()
        process.wait()


def result(folder: Path) -> dict[str, Any]:
    """Return the result of a load."""
    read: dict[str, Any] = json.loads((folder / RESULT).read_text())
    return read


def reliable(folder: Path) -> bool:
    """Whether the generator was reliable: on a busy machine it may not be, and the load exits with 8."""
    code, _ = thresholds.judge(result(folder), thresholds.Thresholds())
    return code == 0

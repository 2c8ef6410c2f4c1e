"""Swaps the running server repeatedly under an open-loop load, and measures the effect on clients.

    python -m benchmarks.swaps [--swaps 20] [--rate-per-s 100] [--window-s 120]

The real server is deployed with its own PostgreSQL, in a folder that is removed afterwards. Every swap is a whole
deployment: a candidate on a loopback port, verified, then the public socket is handed over. Afterwards the same server
is swapped by stop-and-start for the length of the outage. Exit code 1 when a request failed, the p99 is 100 ms or
more, or an outage is 2 s or more.
"""

import argparse
import json
import shutil
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gaia_checks import jsonl
from gaia_checks.deploy import rollout
from gaia_checks.deploy.state import paths
from gaia_checks.deploy.supervisor import spawn
from gaia_checks.environment import environment_file
from gaia_checks.environment.environment import Environment
from gaia_checks.load import load_run
from gaia_checks.load.results.histogram import Histogram
from gaia_checks.load.results.result_files import RESULT
from gaia_checks.model import Target

P99_LIMIT_MS = 100.0
OUTAGE_LIMIT_MS = 2000.0
STOP_AND_STARTS = 5

TRAFFIC = Path(__file__).with_name("liveness.py")


@dataclass(frozen=True)
class Site:
    """The folder and the port of this benchmark's server."""

    folder: Path
    port: int

    def environment(self, *, handover: bool, flip: int = 0) -> Environment:
        """Return the environment; each `flip` changes a variable, so that deploying it is a swap."""
        file = self.folder / "swaps.toml"
        file.write_text(
            '[environment]\nstage = "dev"\ndatabase = "embedded"\nhost = "127.0.0.1"\n[environment.defaults]\n'
            f'PORT = "{self.port}"\nENABLE_AI_FALLBACK = "{str(bool(flip % 2)).lower()}"\n'
            f"[server]\nhandover = {str(handover).lower()}\n"
        )
        folders = {"GAIA_HOME": str(self.folder / "home"), "GAIA_LOG_DIR": str(self.folder / "logs")}
        return environment_file.load(str(file), variables=folders)


def main() -> int:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(prog="benchmarks.swaps")
    parser.add_argument("--swaps", type=int, default=20)
    parser.add_argument("--rate-per-s", type=float, default=100.0)
    parser.add_argument("--window-s", type=float, default=120.0)
    arguments = parser.parse_args()
    with _temporary_site() as site:
        done, result = _under_load(site, arguments.swaps, arguments.rate_per_s, arguments.window_s)
        outages_ms = _stop_and_start(site)
    latency = Histogram.decode(result["latency"])
    p50, p99, worst = (latency.percentile_ms(percentile) or 0.0 for percentile in (50, 99, 100))
    _print_row(
        "swaps with hand-over",
        f"{done} of {arguments.swaps} within {arguments.window_s:g} s of {arguments.rate_per_s:g} req/s",
    )
    _print_row("requests", f"{result['sent']} sent, {result['failed']} failed {'; '.join(result['notes'])}")
    _print_row("latency", f"p50 {p50:.1f} ms, p99 {p99:.1f} ms, worst {worst:.1f} ms")
    _print_row("generator", f"{result['intended']} intended, lateness p99 {result['lateness_p99_ms']:.1f} ms")
    _print_row(
        "stop-and-start", f"outage median {statistics.median(outages_ms):.0f} ms, worst {max(outages_ms):.0f} ms"
    )
    passed = (
        done == arguments.swaps and result["failed"] == 0 and p99 < P99_LIMIT_MS and max(outages_ms) < OUTAGE_LIMIT_MS
    )
    return 0 if passed else 1


def remove(folder: Path) -> None:
    """Remove a folder that contains releases, which are read-only."""
    for path in folder.rglob("*"):
        if path.is_dir() and not path.is_symlink():
            path.chmod(0o755)
    shutil.rmtree(folder)


@contextmanager
def _temporary_site() -> Iterator[Site]:
    folder = Path(tempfile.mkdtemp(prefix="gaia-swaps-"))
    folder.chmod(0o711)  # PostgreSQL runs as another user when this one is root
    site = Site(folder, spawn.free_port())
    try:
        yield site
    finally:
        rollout.stop(site.environment(handover=True))
        remove(folder)


def _under_load(site: Site, swaps: int, rate_per_s: float, window_s: float) -> tuple[int, dict[str, Any]]:
    """Swap while the load runs; return the number of swaps within its window, and the load's result."""
    status = rollout.deploy(site.environment(handover=True))
    folder = site.folder / "load"
    folder.mkdir()
    token = site.environment(handover=True).admin_token
    target = Target(environment="swaps", base_url=status.base_url, run="swaps", admin_token=token)
    loading = threading.Thread(
        target=lambda: load_run.run(
            target,
            folder,
            rate_per_s=rate_per_s,
            window_s=window_s,
            log=lambda _: None,
            cancelled=lambda: False,
            locustfile=TRAFFIC,
        )
    )
    loading.start()
    started, done = time.monotonic(), 0
    while done < swaps and time.monotonic() - started < window_s and loading.is_alive():
        rollout.deploy(site.environment(handover=True, flip=done + 1))
        done += 1
    loading.join()
    result: dict[str, Any] = json.loads((folder / RESULT).read_text())
    return done, result


def _stop_and_start(site: Site) -> list[float]:
    """Swap the same server by stop-and-start; return each outage in ms. The first one leaves the handed-over socket."""
    for flip in range(STOP_AND_STARTS):
        rollout.deploy(site.environment(handover=False, flip=flip))
    lines = jsonl.read(paths.of(site.environment(handover=False)).ledger)
    return [line["outage_ms"] for line in lines if line.get("outage_ms")]


def _print_row(name: str, text: str) -> None:
    print(f"{name:22} {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())

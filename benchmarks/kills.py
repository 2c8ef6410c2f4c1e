"""`python -m benchmarks.kills`: kills harness and supervisor at random moments of deployments, under load.

Every round deploys a change with hand-over, kills one of the two with SIGKILL, and deploys the next change, which
finishes or undoes the killed deployment first. Meanwhile requests that a limit counts arrive at a fixed rate, each on a
connection of its own. Exit code 0 when requests were lost only during announced outages, and every admission is counted
once.
"""

import itertools
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import typer

from benchmarks.limiter import contract
from benchmarks.limiter.accounts import balance
from benchmarks.limiter.arrivals import Arrivals
from benchmarks.limiter.racing import cycle
from benchmarks.limiter.results import Promise, Section, finish
from benchmarks.limiter.stack import stack
from benchmarks.swaps import remove
from gaia_checks import jsonl
from gaia_checks.deploy import rollout
from gaia_checks.deploy.state import paths, supervisor_state
from gaia_checks.deploy.supervisor import spawn
from gaia_checks.environment import environment_file, process_variables
from gaia_checks.environment.environment import Environment
from gaia_checks.environment.project import ROOT

KEYS = 20
LIMIT = 1_000_000_000
DAYS = 30
"""Every deployment keeps rows for another number of days, so that each one is a swap, also after an undone one."""
EXPLAINED_BESIDE = 1
"""Requests beyond rate times outage that an outage may cost: it need not begin together with an arrival."""
WITHIN_S = 120.0
DEPLOY = """import sys
from gaia_checks.environment import environment_file
from gaia_checks.deploy import rollout
rollout.deploy(environment_file.load(sys.argv[1]))
"""


@dataclass(frozen=True)
class Site:
    """The folder, port and database of this benchmark's server."""

    folder: Path
    port: int
    database: str

    @property
    def variables(self) -> dict[str, str]:
        """The variables of every command."""
        folders = {"GAIA_HOME": str(self.folder / "home"), "GAIA_LOG_DIR": str(self.folder / "logs")}
        return {**folders, "DATABASE_URL": self.database, "ADMIN_TOKEN": contract.TOKEN}

    @property
    def environment(self) -> Environment:
        """The environment, freshly loaded."""
        return environment_file.load(str(self._file), variables=self.variables)

    @property
    def _file(self) -> Path:
        return self.folder / "kills.toml"

    def change(self, flip: int) -> None:
        """Write the environment file; each `flip` changes a variable, so that deploying it is a swap."""
        self._file.write_text(
            '[environment]\nstage = "dev"\ndatabase = "external"\nhost = "127.0.0.1"\n[environment.defaults]\n'
            f'PORT = "{self.port}"\nTRUSTED_PROXIES = "127.0.0.1"\n'
            f'RETENTION_DAYS = "{DAYS + flip}"\n'
            "[server]\nready_s = 90\n"  # a slow machine is not what is measured
        )

    def deploying(self) -> "subprocess.Popen[str]":
        """Start a deployment of the working tree, as a process that can be killed."""
        return subprocess.Popen(
            (sys.executable, "-c", DEPLOY, str(self._file)),
            cwd=ROOT,
            env={**process_variables.surroundings(), **self.variables},
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def deployed(self) -> float:
        """Deploy and return how long it took, in seconds."""
        started = time.monotonic()
        process = self.deploying()
        _, errors = process.communicate(timeout=WITHIN_S)
        if process.returncode:
            raise SystemExit(f"the deployment after a kill failed with {process.returncode}: {errors}")
        return time.monotonic() - started

    def announced_ms(self) -> list[float]:
        """Return the outages that the ledger reports so far, in ms."""
        return [line.get("outage_ms") or 0 for line in jsonl.read(paths.of(self.environment).ledger)]


def kill_during_a_deployment(site: Site, victim: str, moment_s: float) -> int | None:
    """Kill `victim` `moment_s` after a deployment has started; return the command's exit code, None for a late kill."""
    process = site.deploying()
    try:
        process.wait(moment_s)
    except subprocess.TimeoutExpired:
        if victim == "harness":
            process.kill()
        elif found := supervisor_state.read(paths.of(site.environment).record):
            os.kill(found.supervisor.pid, signal.SIGKILL)
        process.communicate(timeout=WITHIN_S)
        return process.returncode
    process.communicate()
    return None


@dataclass(frozen=True)
class Round:
    """One kill and the deployment after it."""

    victim: str
    moment_s: float
    code: int
    lost: int
    announced_ms: float

    def beyond(self, rate_per_s: float) -> int:
        """Return the lost requests that no announced outage explains."""
        explained = self.announced_ms / 1000 * rate_per_s + EXPLAINED_BESIDE if self.announced_ms else 0
        return max(0, self.lost - int(explained))


def rounds(site: Site, arrivals: Arrivals, times: int, seed: int) -> Iterator[Round]:
    """Kill `times` times; the moments spread over the length of an undisturbed deployment."""
    chosen, flips = random.Random(seed), itertools.count(1)  # noqa: S311 - no secret
    site.change(next(flips))
    whole_s, done = site.deployed(), 0
    while done < times:
        victim, moment_s = ("harness", "supervisor")[done % 2], chosen.uniform(0.1, 0.95) * whole_s
        start_s, before = time.monotonic(), len(site.announced_ms())
        site.change(next(flips))
        code = kill_during_a_deployment(site, victim, moment_s)
        if code is None:
            whole_s *= 0.9  # it was faster than the first
            continue
        site.change(next(flips))
        site.deployed()
        time.sleep(1)  # requests that were sent last are answered or lost
        lost, announced_ms = arrivals.lost_between(start_s, time.monotonic()), sum(site.announced_ms()[before:])
        yield Round(victim, moment_s, code, lost, announced_ms)
        done += 1


def measure(times: int, rate_per_s: float, seed: int) -> Section:
    """Deploy and kill `times` times under load; compare what was answered with what was counted."""
    with _site() as site:
        site.change(0)
        rollout.deploy(site.environment)
        rules = [contract.create_rule(site.port, limit_type="requests_per_hour", limit_value=LIMIT) for _ in range(2)]
        with Arrivals(site.port, cycle("kills", KEYS), rate_per_s=rate_per_s) as arrivals:
            made = []
            for each in rounds(site, arrivals, times, seed):
                made.append(each)
                print(len(made), each, flush=True)
        one, other = (contract.used(site.port, rule["id"], "kills") for rule in rules)
    found = balance(arrivals.seen, one)
    beyond = sum(each.beyond(rate_per_s) for each in made)
    late = arrivals.lost_between(0, time.monotonic()) - sum(each.lost for each in made)
    bounds = (
        (f"of {arrivals.sent} requests, lost beyond announced outages", beyond + late),
        ("admitted requests lost", found.lost),
        ("requests counted twice", found.invented),
        ("half-counted", int(one != other)),
    )
    return Section(
        f"killed during deployments, {rate_per_s:g} requests/s, seed {seed}",
        ("kill", "victim", "after s", "exit code", "lost", "announced ms", "lost beyond"),
        [
            (str(number), each.victim, each.moment_s, each.code, each.lost, each.announced_ms, each.beyond(rate_per_s))
            for number, each in enumerate(made, 1)
        ],
        [Promise(f"{text}, {times} kills", value, at_most=0) for text, value in bounds],
    )


@contextmanager
def _site() -> Iterator[Site]:
    with stack() as up:
        folder = Path(tempfile.mkdtemp(prefix="gaia-kills-"))
        site = Site(folder, spawn.free_port(), up.database("kills"))
        try:
            yield site
        finally:
            rollout.stop(site.environment)
            remove(folder)


def main(times: int = 30, rate_per_s: float = 50, seed: int = 1, out: Path | None = None) -> None:
    """Kill harness and supervisor in turn, at random moments of deployments."""
    finish([measure(times, rate_per_s, seed)], out)


if __name__ == "__main__":
    typer.run(main)

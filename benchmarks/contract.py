"""`python -m benchmarks.contract`: tests that all responses of the server conform to its OpenAPI document.

schemathesis generates valid and invalid requests from a fixed seed: once with limits in force, which its own rules soon
make tight, and once without, to reach everything behind them. Exit code 0: no fault was found.
"""

import subprocess
import sys
from pathlib import Path

import typer

from benchmarks.limiter import contract
from benchmarks.limiter.stack import Process, stack

SEED = 1


def main(seconds: int = 60) -> None:
    """Test for `seconds` with limits, then without."""
    faults = 0
    with stack() as found:
        for name, variables in (("limited", {}), ("unlimited", {"RATE_LIMIT_ENABLED": "false"})):
            print(f"--- {name}, {seconds} s")
            faults += run_schemathesis(found.server(found.database(name), variables=variables), seconds, found.folder)
    raise SystemExit(min(faults, 1))


def run_schemathesis(server: Process, seconds: int, folder: Path) -> int:
    """Run schemathesis with `folder` as its working directory; return its exit code."""
    return subprocess.run(command(server.port, seconds), cwd=folder, check=False).returncode


def command(port: int, seconds: int) -> tuple[str, ...]:
    """Return the command that tests a server on this machine."""
    program = Path(sys.executable).parent / "schemathesis"
    url = f"http://127.0.0.1:{port}/openapi.json"
    # DELETE of a user removes the user's own limits; GET still answers, because the limits of all users apply;
    # ignored_auth sends more wrong tokens than an address may
    checks = ("--exclude-checks", "use_after_free,ignored_auth", "--header", f"Authorization: Bearer {contract.TOKEN}")
    return (str(program), "run", url, "--max-time", str(seconds), "--seed", str(SEED), "--no-color", *checks)


if __name__ == "__main__":
    typer.run(main)

"""`python -m benchmarks.contract`: the server answers as its OpenAPI document says, whatever it is asked.

schemathesis makes up requests, right and wrong ones, from a fixed seed: once with limits in force, which its own rules
soon make tight, and once without, so that everything behind them is reached. Exit code 0: no fault was found.
"""

import subprocess
import sys
from pathlib import Path

import typer

from benchmarks.limiter.stack import Process, stack

SEED = 1


def main(seconds: int = 60) -> None:
    """Ask for so many seconds in each of the two ways."""
    faults = 0
    with stack() as found:
        for name, variables in (("limited", {}), ("unlimited", {"RATE_LIMIT_ENABLED": "false"})):
            print(f"--- {name}, {seconds} s")
            faults += ask(found.server(found.database(name), variables=variables), seconds, found.folder)
    raise SystemExit(min(faults, 1))


def ask(server: Process, seconds: int, folder: Path) -> int:
    """Run schemathesis, which writes what it remembers into `folder`; return its exit code."""
    return subprocess.run(command(server.port, seconds), cwd=folder, check=False).returncode


def command(port: int, seconds: int) -> tuple[str, ...]:
    """Return the command that asks a server on this machine."""
    program = Path(sys.executable).parent / "schemathesis"
    url = f"http://127.0.0.1:{port}/openapi.json"
    # DELETE of a user removes the user's own limits; the user is still told: those of all users apply
    checks = ("--exclude-checks", "use_after_free")
    return (str(program), "run", url, "--max-time", str(seconds), "--seed", str(SEED), "--no-color", *checks)


if __name__ == "__main__":
    typer.run(main)

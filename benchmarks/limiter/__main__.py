"""`python -m benchmarks.limiter`: measures all promises of the limiter on this machine. Exit code 0: all are kept."""

from pathlib import Path

import typer

from benchmarks.limiter import decision, exactness, killed, speed, steady
from benchmarks.limiter.results import finish
from gaia_checks.environment.project import ROOT

OUT = ROOT / "build" / "limiter.json"


def main(
    rounds: int = 5, seconds: float = 5, minutes: float = 10, runs: int = 10, kills: int = 20, out: Path = OUT
) -> None:
    """Measure speed, latency, memory, exactness and losses after kills; about half an hour."""
    sections = [decision.measure(500), speed.measure(rounds, seconds, connections=64), steady.measure(minutes)]
    sections += [exactness.measure(runs), killed.measure(kills)]
    finish(sections, out)


if __name__ == "__main__":
    typer.run(main)

"""`python -m benchmarks.fuzz`: random HTTP heads and WebSocket frames; nothing but clean refusals may come back.

Exit code 0: no 5xx, no wrong number of responses, no close with 1011, no error in the log, and memory is as before.
"""

import json
import time
from pathlib import Path

import typer
import uvloop

from benchmarks.fuzz.client import send_all
from benchmarks.fuzz.inputs import KINDS
from benchmarks.limiter.stack import Process, stack
from benchmarks.watch import HEAD, watched

GROWTH_MB = 16.0
WARM_UP = 2000
"""The first inputs of each kind fill caches and free lists; they are inputs like the others."""


def main(inputs: int = 120_000, seed: int = 1) -> None:
    """Send `inputs` inputs, a third of each kind."""
    with stack() as found:
        server = found.server(found.database("fuzz"))
        faults = run(server, inputs // len(KINDS), seed)
        faults += [f"log: {line}" for line in errors(server.log)]
        if server.process.poll() is not None:
            faults.append(f"the server exited with {server.process.returncode}")
    print("\n".join([f"{len(faults)} faults", *faults[:20]]))
    raise SystemExit(bool(faults))


def run(server: Process, each: int, seed: int) -> list[str]:
    """Send `each` inputs of every kind; return the faults."""
    faults = []
    print(f"seed {seed}, {each} inputs of each kind\n{'':18}{HEAD}")
    for kind in KINDS:
        warm = uvloop.run(send_all(server.port, kind, seed, range(WARM_UP)))
        started = time.monotonic()
        with watched(server.process.pid, server.port) as cost:
            found = uvloop.run(send_all(server.port, kind, seed, range(WARM_UP, each)))
        print(f"{kind:18}{cost.row()}  in {time.monotonic() - started:.0f} s")
        print(f"{'':18}{dict(sorted((warm.answers + found.answers).items()))}")
        faults += warm.faults + found.faults
        if cost.after_mb - cost.before_mb > GROWTH_MB or cost.unanswered:
            faults.append(
                f"{kind}: memory grew by {cost.after_mb - cost.before_mb:.1f} MB, {cost.unanswered} unanswered"
            )
    return faults


def errors(log: Path) -> list[str]:
    """Return the lines of a log that are no JSON, or an error."""
    texts = log.read_text().splitlines()
    lines = [json.loads(text) if text.startswith("{") else {"level": "error", "msg": text} for text in texts]
    return [str(line) for line in lines if line["level"] not in ("info", "warning")]


if __name__ == "__main__":
    typer.run(main)

"""Judges live servers near the limit: 95 ms must pass a limit of 100 ms and 105 ms must fail, 20 times of 20.

    python -m benchmarks.beside_the_limit

The gate's own engine loads a real server with a fixed delay over short windows, and the gate's own rules for
`prod.latency` judge it, as a rehearsal. A run with a starved generator is inconclusive and reported separately: on an
idle machine there is none.
"""

import argparse
import asyncio
import multiprocessing
import socket
import sys
import tempfile
from collections import Counter
from dataclasses import replace
from pathlib import Path

from gaia_checks import jsonl
from gaia_checks.environment.project import ROOT
from gaia_checks.judge import criteria_file, judgement
from gaia_checks.load import load_run
from gaia_checks.model import CriterionVerdict, Measurement, Target

SMOKE = ROOT / "locustfiles" / "smoke.py"
BODY = b'{"status": "healthy", "version": "1", "checks": {}}'
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(BODY), BODY)


async def serve(listening: socket.socket, delay_s: float) -> None:
    """Answer every request after the same delay."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        loop = asyncio.get_running_loop()
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                came_s = loop.time()
                await asyncio.sleep(came_s + delay_s - loop.time())
                writer.write(ANSWER)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async with await asyncio.start_server(answer, sock=listening) as server:
        await server.serve_forever()


def run_server(listening: socket.socket, delay_s: float) -> None:
    """Run the server in a child process."""
    asyncio.run(serve(listening, delay_s))


def judge(delay_s: float, rate_per_s: float, window_s: float) -> CriterionVerdict:
    """Load a server with this delay and judge its p99."""
    with socket.create_server(("127.0.0.1", 0)) as listening, tempfile.TemporaryDirectory() as name:
        server = multiprocessing.Process(target=run_server, args=(listening, delay_s), daemon=True)
        server.start()
        target = Target("bench", f"http://127.0.0.1:{listening.getsockname()[1]}", "bench")
        try:
            load_run.run(
                target, Path(name), rate_per_s=rate_per_s, window_s=window_s,
                log=lambda text: print(text, file=sys.stderr), cancelled=lambda: False, locustfile=SMOKE,
            )  # fmt: skip
        finally:
            server.terminate()
            server.join()
        measurements = [Measurement.from_json(record) for record in jsonl.read(Path(name) / "measurements.jsonl")]
    latency = next(each for each in criteria_file.load().criteria if each.id == "prod.latency")
    single_look = replace(latency, window_s=window_s, max_window_s=window_s, looks_s=(window_s,))
    return judgement.judge_measured(single_look, measurements, rehearsal=True)


def main() -> int:
    """Judge both servers and print the number of each verdict."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--rate-per-s", type=float, default=100)
    parser.add_argument("--window-s", type=float, default=10)
    arguments = parser.parse_args()
    right = True
    for delay_ms, expected in ((95, "pass"), (105, "fail")):
        judged = [judge(delay_ms / 1000, arguments.rate_per_s, arguments.window_s) for _ in range(arguments.runs)]
        states = Counter(str(each.state) for each in judged)
        right = right and states[expected] == arguments.runs
        print(f"{delay_ms} ms: {', '.join(f'{count} of {arguments.runs} {state}' for state, count in states.items())}")
        for why in sorted({each.why for each in judged if each.state != expected}):
            print(f"    {why}")
    return 0 if right else 1


if __name__ == "__main__":
    sys.exit(main())

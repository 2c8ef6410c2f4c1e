"""`python -m gaia_checks.recorders`: run all requested recorders at once, and exit after the last one.

The target is one JSON line on standard input, which stays open: its end means that the gate is gone.
Exit code 0 when every recorder finished, 1 when one broke or the gate is gone, 4 for bad arguments,
128 + the signal's number when stopped by a signal. A recorder that is cut short reports the window that it observed.
"""

import argparse
import asyncio
import json
import os
import signal
import sys
from pathlib import Path

from gaia_checks.errors import ConfigurationError
from gaia_checks.model import Target
from gaia_checks.recorders.recorder_run import Looks, record

_STDIN = 0
_GRACE_S = 8.0
"""How long the recorders may take to stop: a temporary rule of the gate is removed within 5 s."""


def main() -> int:
    """Run the requested recorders and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m gaia_checks.recorders", description=__doc__)
    parser.add_argument("--folder", type=Path, required=True, help="the run's evidence folder")
    parser.add_argument("--looks", type=json.loads, required=True, help='JSON: {"log": {"window_s": 60}, ...}')
    parser.add_argument("--so-far", type=Path, help="a folder for the measurements so far, while the recorders run")
    arguments = parser.parse_args()
    try:
        target = _target(sys.stdin.readline())
        return asyncio.run(_record_until_stopped(arguments.folder, arguments.looks, target, arguments.so_far))
    except ConfigurationError as error:
        print(error, file=sys.stderr)
        return error.exit_code


def _target(line: str) -> Target:
    try:
        return Target.from_json(json.loads(line))
    except (ValueError, KeyError, TypeError):
        # neither the line nor the cause: both may contain secrets
        raise ConfigurationError("standard input: no target; write Target.to_json() there as one line") from None


async def _record_until_stopped(folder: Path, looks: Looks, target: Target, so_far: Path | None) -> int:
    """Record until all recorders finish, or until a signal or the end of standard input stops them."""
    loop = asyncio.get_running_loop()
    stop, codes = asyncio.Event(), list[int]()

    def stop_with(code: int) -> None:
        codes.append(code)
        stop.set()

    def read_stdin() -> None:
        if not os.read(_STDIN, 4096):
            loop.remove_reader(_STDIN)
            stop_with(1)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop_with, 128 + number)
    loop.add_reader(_STDIN, read_stdin)
    recording = asyncio.create_task(record(folder, looks, target, stop, so_far))
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait((recording, stopping), return_when=asyncio.FIRST_COMPLETED)
        await asyncio.wait((recording,), timeout=_GRACE_S)
        if not recording.done():
            recording.cancel()
            await asyncio.wait((recording,))
            return codes[0]
        unbroken = recording.result()
        return codes[0] if codes else 0 if unbroken else 1
    finally:
        stopping.cancel()
        loop.remove_reader(_STDIN)


if __name__ == "__main__":
    sys.exit(main())

"""`python -m gaia_checks.recorders`: record all asked looks at once, and end when the last one has.

The target comes in as one JSON line on standard input, which stays open: its end means that the gate is gone.
Exit code 0 when every look came to its end, 1 when one broke or the gate is gone, 4 for bad arguments,
128 + the signal's number when told to stop. A look that is cut short says how long it has looked.
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
from gaia_checks.recorders.run import Looks, record

_STDIN = 0
_GRACE_S = 8.0
"""So long may the looks take to end when told to: a rule of ours is taken away within 5 s."""


def main() -> int:
    """Read what is asked, record it, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m gaia_checks.recorders", description=__doc__)
    parser.add_argument("--folder", type=Path, required=True, help="the run's evidence folder")
    parser.add_argument("--looks", type=json.loads, required=True, help='JSON: {"log": {"window_s": 60}, ...}')
    parser.add_argument("--so-far", type=Path, help="a folder for what was seen so far, while the looks go on")
    arguments = parser.parse_args()
    try:
        target = _target(sys.stdin.readline())
        return asyncio.run(_until_told(arguments.folder, arguments.looks, target, arguments.so_far))
    except ConfigurationError as error:
        print(error, file=sys.stderr)
        return error.exit_code


def _target(line: str) -> Target:
    try:
        return Target.from_json(json.loads(line))
    except (ValueError, KeyError, TypeError):
        # neither the line nor the cause: both may hold secrets
        raise ConfigurationError("standard input: no target; write Target.to_json() there as one line") from None


async def _until_told(folder: Path, looks: Looks, target: Target, so_far: Path | None) -> int:
    """Record until all is done, or until a signal or the end of standard input ends it early."""
    loop = asyncio.get_running_loop()
    told, codes = asyncio.Event(), list[int]()

    def stop(code: int) -> None:
        codes.append(code)
        told.set()

    def read() -> None:
        if not os.read(_STDIN, 4096):
            loop.remove_reader(_STDIN)
            stop(1)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop, 128 + number)
    loop.add_reader(_STDIN, read)
    recording = asyncio.create_task(record(folder, looks, target, told, so_far))
    telling = asyncio.create_task(told.wait())
    try:
        await asyncio.wait((recording, telling), return_when=asyncio.FIRST_COMPLETED)
        await asyncio.wait((recording,), timeout=_GRACE_S)
        if not recording.done():
            recording.cancel()
            await asyncio.wait((recording,))
            return codes[0]
        whole = recording.result()
        return codes[0] if codes else 0 if whole else 1
    finally:
        telling.cancel()
        loop.remove_reader(_STDIN)


if __name__ == "__main__":
    sys.exit(main())

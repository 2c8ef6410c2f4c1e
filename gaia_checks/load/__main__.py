"""Runs one load for the gate: `python -m gaia_checks.load --folder RUN_FOLDER --rate-per-s 100 --window-s 300`.

Standard input carries the target as one JSON line and then stays open. When it closes, the gate has exited and the load
stops. SIGTERM and SIGINT stop it as well. Exit code 0: measured; 8: not measured; 4: wrong usage.

`--looks-s 300,1470 --window-s 7200` measures the requests due by 300 s and by 1470 s while the load continues; the line
`enough` on standard input stops it.
"""

import argparse
import json
import os
import signal
import sys
import threading
from pathlib import Path
from typing import NoReturn

from gaia_checks.environment.environment import LoadSettings
from gaia_checks.errors import ConfigurationError
from gaia_checks.load import load_run
from gaia_checks.model import Target
from gaia_checks.printable import printable


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Exit with the project's code for wrong usage instead of argparse's 2."""
        self.exit(ConfigurationError.exit_code, f"gaia_checks.load: {message}\n")


def main() -> int:
    """Run one load."""
    parser = _Parser(prog="gaia_checks.load", description="one open-loop load on a target")
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--rate-per-s", type=float, required=True)
    parser.add_argument("--window-s", type=float, required=True)
    parser.add_argument("--looks-s", default="")
    parser.add_argument("--look", choices=sorted(load_run.LOCUSTFILES), default="load")
    parser.add_argument("--so-far", type=Path)
    parser.add_argument(
        "--settings", type=lambda text: LoadSettings.from_json(json.loads(text)), default=LoadSettings()
    )
    arguments = parser.parse_args()
    cancelled, enough = threading.Event(), threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: cancelled.set())
    try:
        target = Target.from_json(json.loads(sys.stdin.buffer.readline()))
    except (ValueError, KeyError, TypeError):
        parser.error("no target on standard input; write it as one JSON line, in the format of Target.to_json()")
    threading.Thread(target=_watch_parent, args=(cancelled, enough), daemon=True).start()
    return load_run.run(
        target,
        arguments.folder,
        rate_per_s=arguments.rate_per_s,
        window_s=arguments.window_s,
        log=lambda text: print(printable(text), file=sys.stderr, flush=True),
        cancelled=cancelled.is_set,
        looks_s=[float(look_s) for look_s in arguments.looks_s.split(",") if look_s],
        enough=enough.is_set,
        look=arguments.look,
        so_far=arguments.so_far,
        settings=arguments.settings,
    )


def _watch_parent(cancelled: threading.Event, enough: threading.Event) -> None:
    """Read until standard input closes. Not through sys.stdin: a thread blocked in it keeps the process alive."""
    while received := os.read(0, 4096):
        if load_run.ENOUGH.encode() in received:
            enough.set()
    cancelled.set()


if __name__ == "__main__":
    sys.exit(main())

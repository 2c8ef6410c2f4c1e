"""One load, as the gate starts it: `python -m gaia_checks.load --folder RUN_FOLDER --rate-per-s 100 --window-s 300`.

The target comes as one JSON line on standard input, which then stays open: its end says that the gate is gone,
and the load ends by itself. So does it on SIGTERM and SIGINT. Exit code 0: measured; 8: not; 4: wrong usage.

With `--looks-s 300,1470 --window-s 7200` what was due until then is measured while the load goes on; the line
`enough` on standard input ends it.
"""

import argparse
import json
import os
import signal
import sys
import threading
from pathlib import Path
from typing import NoReturn

from gaia_checks.errors import ConfigurationError
from gaia_checks.load import run
from gaia_checks.model import Target


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """End with the project's exit code for wrong usage, not with argparse's 2."""
        self.exit(ConfigurationError.exit_code, f"gaia_checks.load: {message}\n")


def main() -> int:
    """Run one load."""
    parser = _Parser(prog="gaia_checks.load", description="one open-loop load on a target")
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--rate-per-s", type=float, required=True)
    parser.add_argument("--window-s", type=float, required=True)
    parser.add_argument("--looks-s", default="")
    parser.add_argument("--look", choices=sorted(run.LOCUSTFILES), default="load")
    parser.add_argument("--so-far", type=Path)
    given = parser.parse_args()
    ended, enough = threading.Event(), threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    try:
        target = Target.from_json(json.loads(sys.stdin.buffer.readline()))
    except (ValueError, KeyError, TypeError):
        parser.error("no target on standard input; give it as one JSON line, as Target.to_json() writes it")
    threading.Thread(target=_watch_parent, args=(ended, enough), daemon=True).start()
    return run.run(
        target,
        given.folder,
        rate_per_s=given.rate_per_s,
        window_s=given.window_s,
        say=lambda text: print(text, file=sys.stderr, flush=True),
        ended=ended.is_set,
        looks_s=[float(look_s) for look_s in given.looks_s.split(",") if look_s],
        enough=enough.is_set,
        look=given.look,
        so_far=given.so_far,
    )


def _watch_parent(ended: threading.Event, enough: threading.Event) -> None:
    """Read until standard input ends. Not through sys.stdin: a thread that waits in it would keep us from exiting."""
    while said := os.read(0, 4096):
        if run.ENOUGH.encode() in said:
            enough.set()
    ended.set()


if __name__ == "__main__":
    sys.exit(main())

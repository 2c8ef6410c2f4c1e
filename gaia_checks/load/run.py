"""One load from beginning to end: locust in a process of its own, its result turned into measurements.

What locust exits with is not believed: a listener that crashed leaves it 0. Only a complete result counts.
"""

import json
import math
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gaia_checks import journal
from gaia_checks.environment import ROOT, surroundings
from gaia_checks.errors import Inconclusive
from gaia_checks.load.measurements import measurements, nothing
from gaia_checks.load.recording import RESULT
from gaia_checks.model import Target

LOCUSTFILE = ROOT / "locustfiles" / "quotas.py"

_POLL_S = 0.1
_BEYOND_S = 45.0  # start, the last answers and the end take less than this beyond the window
_GRACE_S = 5.0


def command(
    base_url: str, folder: Path, *, rate_per_s: float, window_s: float, locustfile: Path = LOCUSTFILE
) -> tuple[str, ...]:
    """Return locust's command line: one load of `window_s`, rounded up to whole seconds, into `folder`. Pure."""
    return (
        sys.executable, "-m", "locust", "--locustfile", str(locustfile), "--headless", "--only-summary",
        "--loglevel", "WARNING", "--host", base_url, "--rate", f"{rate_per_s:g}", "--run-time",
        f"{math.ceil(window_s)}s", "--folder", str(folder), "--end-with-parent",
    )  # fmt: skip


def run(
    target: Target,
    folder: Path,
    *,
    rate_per_s: float,
    window_s: float,
    say: Callable[[str], None],
    ended: Callable[[], bool],
    locustfile: Path = LOCUSTFILE,
) -> int:
    """Offer the load and append its measurements to the evidence. Returns 0 when it was measured, else 8.

    It stops early, without measurements, once `ended()` is true.
    """
    folder = folder.resolve()
    (folder / RESULT).unlink(missing_ok=True)
    argv = command(target.base_url, folder, rate_per_s=rate_per_s, window_s=window_s, locustfile=locustfile)
    process = subprocess.Popen(argv, cwd=folder, env=_variables(target), stdin=subprocess.DEVNULL, stdout=sys.stderr)
    try:
        finished = _wait(process, time.monotonic() + window_s + _BEYOND_S, ended)
    finally:
        _end(process)
    if ended():
        say("the load was ended before its time; it measured nothing")
        return Inconclusive.exit_code
    result = _read(folder / RESULT)
    broken = result.get("broken") if finished else "locust did not end in time"
    for measurement in nothing(str(broken)) if broken else measurements(result):
        journal.append(folder / "measurements.jsonl", measurement.to_json())
    if broken:
        say(f"the load measured nothing: {broken}")
    return Inconclusive.exit_code if broken else 0


def _variables(target: Target) -> dict[str, str]:
    """All that locust gets from outside: no LOCUST_* variable or ~/.locust.conf of whoever runs us changes it."""
    token = {"GAIA_ADMIN_TOKEN": target.admin_token} if target.admin_token else {}
    ours = {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1", "GAIA_API_KEY": f"gaia-run-{target.run}"}
    trusted = {name: value for name, value in surroundings().items() if name.startswith("SSL_")}
    return {**trusted, **ours, **token}


def _wait(process: "subprocess.Popen[bytes]", deadline: float, ended: Callable[[], bool]) -> bool:
    """Return whether the process has ended by itself in time."""
    while process.poll() is None:
        if ended() or time.monotonic() > deadline:
            return False
        time.sleep(_POLL_S)
    return True


def _end(process: "subprocess.Popen[bytes]") -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(_GRACE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _read(path: Path) -> dict[str, Any]:
    try:
        result: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {"broken": "locust left no result; load.err says why"}
    return result

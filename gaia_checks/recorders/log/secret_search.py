"""Searches the end of a log for the secrets that the gate sent."""

from collections.abc import Iterator, Sequence

from gaia_checks import jsonl
from gaia_checks.model import NOT_CHECKED, LogLocation, Measurement, Target
from gaia_checks.recorders.log.parser import parse
from gaia_checks.target import sent_secrets
from gaia_checks.target.samples import short

_TOLERANCE_S = 1.0  # between the clock of process starts and that of log lines
_CONTEXT = 60  # characters before and after a secret that a note shows


def search(target: Target, log: LogLocation, content: bytes, since_s: float) -> Measurement:
    """Count the lines with a secret among those of the process, or since `since_s` (epoch) if that is unknown. Pure."""
    secrets = sent_secrets.never_logged(target)
    since_s = target.process.created_s if target.process else since_s
    notes, searched, wrong = list[str](), 0, 0
    for number, line in _since(content.decode(errors="replace").splitlines(), since_s - _TOLERANCE_S):
        searched += 1
        if what := sent_secrets.found_in(line, secrets):
            wrong += 1
            notes.append(
                f"{log}: line {number} from the end contains {what}: {_excerpt(sent_secrets.hidden(line, secrets))}"
            )
    if not searched:
        return not_searched(f"{log}: no line of the server's process")
    return _measured(wrong, searched, notes)


def not_searched(why: str) -> Measurement:
    """Return the measurement of a log that cannot be read."""
    return _measured(0, 0, [f"{NOT_CHECKED}{why}"])


def _measured(wrong: int, searched: int, notes: Sequence[str]) -> Measurement:
    how = "lines of the log's last 5 MB with a secret that the gate sent"
    return Measurement("log.secrets", wrong, "lines", searched, 0.0, jsonl.now(), how, short(notes))


def _since(lines: Sequence[str], since_s: float) -> Iterator[tuple[int, str]]:
    """Yield each line from the first one as young as that, with its number counted from the end."""
    started = False
    for index, line in enumerate(lines):
        time_s = parse(line).time_s if not started else None
        started = started or (time_s is not None and time_s >= since_s)
        if started:
            yield len(lines) - index, line


def _excerpt(line: str) -> str:
    at = line.find("***")
    return line[max(0, at - _CONTEXT) : at + _CONTEXT]

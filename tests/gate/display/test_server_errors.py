"""The errors in a server's log."""

import json
from pathlib import Path

from gaia_checks.gate.display import server_errors

SINCE = "2026-02-26T10:00:00.000Z"


def record(level: str, message: str, second: int, **more: str) -> str:
    """Return one JSON line."""
    return json.dumps({"time": f"2026-02-26T10:00:{second:02d}.000Z", "level": level, "msg": message, **more})


def test_errors_and_tracebacks_have_their_lines(tmp_path: Path) -> None:
    """A traceback is a field, or lines of its own between JSON lines; information is no error."""
    log = tmp_path / "server.log"
    log.write_text(
        "\n".join(
            (
                record("INFO", "started", 1),
                record("ERROR", "no disk", 2, path="/api/limits"),
                "Traceback (most recent call last):",
                '  File "/srv/gaia/app.py", line 7, in answer',
                "    raise ValueError(9)",
                "ValueError: 9",
                record("ERROR", "failed", 3, exception="Traceback (most recent call last):\nKeyError: 'x'"),
            )
        ),
        encoding="utf-8",
    )
    found = server_errors.read(log, SINCE)
    assert [(each.line, each.text, each.traceback) for each in found] == [
        (2, "no disk", False),
        (3, "ValueError: 9 (app.py:7)", True),
        (7, "KeyError: 'x'", True),
    ]


def test_errors_of_earlier_gates_are_left_out(tmp_path: Path) -> None:
    """Without a log there are none."""
    log = tmp_path / "server.log"
    log.write_text(record("ERROR", "old", 2) + "\n" + record("ERROR", "new", 40) + "\n", encoding="utf-8")
    assert [each.text for each in server_errors.read(log, "2026-02-26T10:00:30.000Z")] == ["new"]
    assert server_errors.read(tmp_path / "none.log", SINCE) == []

"""Log lines."""

import json
import logging

from gaia_server.logs import JsonLines


def line(message: str, *arguments: object, **extra: object) -> dict[str, object]:
    """Return the formatted record, parsed."""
    record = logging.LogRecord("gaia", logging.WARNING, __file__, 1, message, arguments, None)
    vars(record).update(extra)
    text = JsonLines().format(record)
    assert text.isprintable()
    found: dict[str, object] = json.loads(text)
    return found


def test_fields() -> None:
    """A line has time, level, msg and the extra fields."""
    found = line("%s came", "he", alert="x")
    assert (found["level"], found["msg"], found["alert"]) == ("warning", "he came", "x")
    assert str(found["time"]).endswith("Z")


def test_control_characters_are_escaped() -> None:
    """No text of a client can start a new line."""
    assert line('x\n{"level": "error"}\x1b[31m\u2028')["msg"] == 'x\n{"level": "error"}\x1b[31m\u2028'


def test_exceptions_stay_in_the_line() -> None:
    """A traceback is one field of one line."""
    try:
        raise ValueError("cause")
    except ValueError as error:
        record = logging.LogRecord("gaia", logging.ERROR, __file__, 1, "failed", (), (ValueError, error, None))
    text = JsonLines().format(record)
    assert "\n" not in text
    assert "ValueError: cause" in json.loads(text)["exception"]

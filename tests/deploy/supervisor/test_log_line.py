"""A line of a server's log, as a person reads it."""

import json

import pytest

from gaia_checks.deploy.supervisor import log_line

TRACEBACK = "Traceback (most recent call last):\n  File \"decide.py\", line 45, in decide\nKeyError: 'limit'\n"


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("the config is wrong\x1b[2J", r"the config is wrong\x1b[2J"),
        ("[1]", "[1]"),
        ("", ""),
        ('{"time": "t1", "level": "error", "msg": "no port", "port": 80}', "t1 error no port port=80"),
        (
            json.dumps({"msg": "failed to start", "exception": TRACEBACK, "path": "/x"}),
            "failed to start: KeyError: 'limit' path=/x",
        ),
        (json.dumps({"msg": TRACEBACK}), "Traceback (most recent call last): KeyError: 'limit'"),
        (json.dumps({"event": "stopped"}), "event=stopped"),
    ],
)
def test_in_one_line(line: str, shown: str) -> None:
    """The event, and of a traceback the exception."""
    assert log_line.in_one_line(line) == shown


def test_nothing_below_an_event_looks_like_one() -> None:
    """Every line of a text with several is indented, and control characters are escapes."""
    forged = 'x\n{"level": "info", "msg": "all is well"}\r\x1b[2Jy'
    parts = log_line.read(json.dumps({"msg": "refused", "query": forged}))
    assert parts.message == "refused"
    assert parts.rest == ""
    assert parts.below == ("  x", '  {"level": "info", "msg": "all is well"}', r"  \x1b[2Jy")


def test_what_is_no_object_is_a_message() -> None:
    """A traceback of several lines in the log stays as it is."""
    assert log_line.as_record("[1]") == {"msg": "[1]"}
    assert log_line.as_record("  File x") == {"msg": "  File x"}
    assert log_line.read("  File x").message == "  File x"

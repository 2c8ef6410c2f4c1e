"""What people see of tables: columns that line up, and nothing but text where there is no terminal."""

import pytest

from gaia_checks import tables


def test_rows_line_up_under_their_heads(capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is `-`, seconds have one digit, no line ends with spaces."""
    tables.show(("what", "seconds", "why"), [("deploy", 12.345, None), ("gate", None, "[red] stays as it is")])
    assert capsys.readouterr().out == (
        "what    seconds  why\ndeploy  12.3     -\ngate    -        [red] stays as it is\n"
    )  # fmt: skip


def test_a_status_says_what_runs_and_that_its_tag_is_gone(capsys: pytest.CaptureFixture[str]) -> None:
    """Hashes are shortened; a release that is not there is `-`."""
    release = {"phase": "phase-1", "commit": "c" * 40, "sha256": "a" * 64}
    tables.show_status({"state": "running", "pid": 7, "release": release, "previous": None, "tag_present": False})
    assert capsys.readouterr().out.splitlines() == [
        "state        running",
        "pid          7",
        "release      phase-1, commit cccccccccccc, sha256 aaaaaaaaaaaa",
        "previous     -",
        "tag          gone: it was deleted; its release still runs",
    ]


def test_on_a_terminal_a_table_has_colours(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The state stands out; nothing is lost."""
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("FORCE_COLOR", "1")
    tables.show(("check", "state"), [("port", "wrong")])
    assert "\x1b[1;31mwrong" in capsys.readouterr().out

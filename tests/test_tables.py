"""What people see of tables: columns that line up, and nothing but text where there is no terminal."""

import pytest

from gaia_checks import tables


def test_rows_line_up_under_their_heads(capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is `-`, seconds have one digit, no line ends with spaces."""
    tables.show(("what", "seconds", "why"), [("deploy", 12.345, None), ("gate", None, "[red] stays as it is")])
    assert capsys.readouterr().out == (
        "what    seconds  why\ndeploy  12.3     -\ngate    -        [red] stays as it is\n"
    )  # fmt: skip


def test_findings_fit_a_terminal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """80 columns, no broken word, the fix below; what another check blocks repeats no fix."""
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setenv("COLUMNS", "80")
    url = "http://127.0.0.1:8711"
    tables.show_findings(
        [
            ("port", "ok", "port 8711 is free", None),
            (
                "server answers",
                "wrong",
                f"no answer at {url}: Connection refused; nothing is deployed",
                "gaia deploy qa",
            ),
            ("WebSocket upgrade", "unknown", "blocked by server answers", "gaia deploy qa"),
        ]
    )
    assert capsys.readouterr().out.splitlines() == [
        "ok       port: port 8711 is free",
        f"wrong    server answers: no answer at {url}: Connection refused;",
        "           nothing is deployed",
        "         fix: gaia deploy qa",
        "unknown  WebSocket upgrade: blocked by server answers",
    ]


def test_findings_elsewhere_are_a_line_each(capsys: pytest.CaptureFixture[str]) -> None:
    """Columns for grep and cut, whatever their width."""
    tables.show_findings([("port", "ok", "free", None), ("ledger", "wrong", "damaged " * 20 + "x", "restore it")])
    assert capsys.readouterr().out.splitlines()[1:] == [
        f"port    ok     {'free':161}  -",
        f"ledger  wrong  {'damaged ' * 20}x  restore it",
    ]


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

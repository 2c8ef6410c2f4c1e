"""Only pages, pictures and JSON below the reports folder are read."""

from pathlib import Path

import pytest

from gaia_checks.serve import report_files


@pytest.fixture
def reports(tmp_path: Path) -> Path:
    """Evidence of one gate, with `latest`, and files beside the folder that nobody may read."""
    run = tmp_path / "reports" / "qa" / "run-1"
    (run / "pictures").mkdir(parents=True)
    for name in ("report.html", "verdict.json", "pictures/a b.png", "chart.svg", "measurements.jsonl", ".draft.json"):
        (run / name).write_text(name)
    (run.parent / "latest").symlink_to("run-1")
    (tmp_path / "secret.json").write_text("secret")
    (run / "out.json").symlink_to(tmp_path / "secret.json")
    (run / "outside").symlink_to(tmp_path)
    (run / "circle.json").symlink_to("circle.json")
    (run / "named.json").symlink_to("measurements.jsonl")
    (run / "folder.html").mkdir()
    (tmp_path / "reports-of-others").mkdir()
    (tmp_path / "reports-of-others" / "a.html").write_text("others'")
    return tmp_path / "reports"


@pytest.mark.parametrize(
    ("name", "found"),
    [("qa/run-1/report.html", "report.html"), ("qa/latest/verdict.json", "verdict.json"),
     ("qa/run-1/pictures/a%20b.png", "pictures/a b.png"), ("qa/run-1/chart.svg", "chart.svg")],
)  # fmt: skip
def test_a_report_is_found(reports: Path, name: str, found: str) -> None:
    """By its run, and by `latest`, which leads to one."""
    path = report_files.find(reports, name)
    assert path
    assert path.read_text() == found


@pytest.mark.parametrize(
    "name",
    ["", "qa", "qa/run-1", "qa/run-1/", "qa/run-1/measurements.jsonl", "qa/run-1/.draft.json", "qa/run-1/none.html",
     "../secret.json", "qa/../../secret.json", "..%2fsecret.json", "%2e%2e/secret.json", "qa/run-1/%2e%2e%2f.json",
     "/etc/passwd", "//etc/hostname.html", "%2fetc%2fpasswd", "qa/run-1/out.json", "qa/run-1/outside/secret.json",
     "qa/run-1/circle.json", "qa/run-1/named.json", "qa/run-1/folder.html", "qa/run-1/report.html%00.json",
     "../reports-of-others/a.html", "qa/run-1/report.html/x.html", "%ff.html", "x" * 5000 + ".html",
     "..%5csecret.json", "%252e%252e/secret.json", "qa/./run-1/report.html"],
)  # fmt: skip
def test_nothing_else_is(reports: Path, name: str) -> None:
    """No other kind of file, no hidden one, and no way out: by dots, escapes, links, or a folder of a similar name."""
    assert report_files.find(reports, name) is None

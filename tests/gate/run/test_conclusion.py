"""The verdict is on disk, sealed, whatever becomes of its report."""

import json
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from gaia_checks.environment import environment_file
from gaia_checks.gate.run import conclusion
from gaia_checks.model import State, Verdict
from gaia_checks.report import allure, evidence, render
from tests.report import sample

HANGS = "process.stdin.resume(); setInterval(() => {}, 1000)"
FAILS = "console.error('out of paper'); process.exit(3)"
IS_KILLED = "process.kill(process.pid, 'SIGKILL')"
WRITES_NOTHING = "process.exit(0)"


@dataclass
class Concluded:
    """A gate at its end, and what it logged."""

    folder: Path
    verdict: Verdict
    log: list[str] = field(default_factory=list)

    def write(self) -> str:
        """Conclude the gate, and return the one line that it logged."""
        conclusion.write(self.folder, self.verdict, environment_file.load("local", variables={}), self.log.append)
        (line,) = self.log
        return line

    def check_verdict(self) -> None:
        """The verdict and its summary are complete, and the evidence is what was sealed."""
        assert evidence.read_verdict(self.folder).state is State.FAIL
        assert evidence.recompute(self.folder).state is State.FAIL
        assert "FAIL" in (self.folder / "verdict.md").read_text()
        assert "verdict.md" in json.loads((self.folder / "verdict.json").read_text())["files"]


@pytest.fixture
def ended(tmp_path: Path) -> Concluded:
    """A gate that failed, before its conclusion."""
    return Concluded(*sample.ended_gate(tmp_path / "reports"))


@pytest.mark.parametrize(
    ("renderer", "why"),
    [
        (HANGS, "Allure did not finish within 0 s"),
        (FAILS, "Allure rendered no report (exit code 3): out of paper"),
        (IS_KILLED, "Allure rendered no report (exit code -9): no output"),
        (WRITES_NOTHING, "Allure rendered no report (exit code 0): no output"),
    ],
)
def test_a_renderer_that_fails_takes_the_tests_alone(
    ended: Concluded, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, renderer: str, why: str
) -> None:
    """The report is the decision, says why, and how to render the tests; the verdict is as it would have been."""
    (tmp_path / "cli.js").write_text(renderer)
    monkeypatch.setattr(render, "CLI", tmp_path / "cli.js")
    monkeypatch.setattr(render, "LIMIT_S", 0.2 if renderer is HANGS else 60)
    by_hand = f"render the tests by: {render.NODE} {tmp_path / 'cli.js'} generate --output DIR {ended.folder}"
    line = ended.write()
    assert line.startswith(f"report.html shows the decision without the tests: {why}; {by_hand}")
    ended.check_verdict()
    report = evidence.report_in(ended.folder)
    assert report.name == "report.html"
    assert why in report.read_text()
    assert "✗ FAIL: local, stage prod, release phase-11.4" in report.read_text()


@pytest.mark.parametrize(
    "error", [OSError(28, "No space left on device"), KeyboardInterrupt(), ValueError("odd chart")]
)
def test_no_report_at_all_leaves_the_verdict(
    ended: Concluded, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    """A full disk, Ctrl-C, a defect of our own: the summary takes the report's place."""

    def breaks(_folder: Path) -> None:
        (ended.folder / evidence.REPORT).write_text("half of")
        raise error

    monkeypatch.setattr(allure, "render", breaks)
    assert (
        ended.write()
        == f"no report: {str(error) or 'KeyboardInterrupt'}; the verdict stands, in verdict.json and verdict.md"
    )
    ended.check_verdict()
    assert evidence.report_in(ended.folder).name == "verdict.md"


def test_the_verdict_is_sealed_before_the_report_begins(ended: Concluded, monkeypatch: pytest.MonkeyPatch) -> None:
    """A gate that is killed while its report is written has its verdict."""
    found = []

    def killed(*_: object) -> None:
        ended.check_verdict()
        found.append(evidence.report_in(ended.folder).name)
        raise KeyboardInterrupt

    monkeypatch.setattr(allure, "attach", killed)
    ended.write()
    assert found == ["verdict.md"]

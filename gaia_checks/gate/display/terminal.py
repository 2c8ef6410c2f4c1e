"""The terminal output of a running gate, and its verdict at the end.

On a terminal a live line per background look shows its progress and the worst value so far, and one line
below them the time left and the criteria decided. Elsewhere the same is written as one plain line a minute.
"""

import contextlib
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from gaia_checks import jsonl
from gaia_checks.environment.process_variables import inherited
from gaia_checks.gate.display import github, progress, stream
from gaia_checks.gate.display.next_steps import NextSteps
from gaia_checks.gate.display.verdict_view import STYLES, escape, short, show
from gaia_checks.judge.judgement import UNDECIDED
from gaia_checks.model import State, Verdict
from gaia_checks.report import evidence, words
from gaia_checks.report.check_names import named

if TYPE_CHECKING:
    from gaia_checks.gate.run.session import Session

_PLAIN_EVERY_S = 60.0
_REFRESH_S = 0.5


class Terminal:
    """The gate's output. It writes nothing until it is attached to pytest's own terminal."""

    def __init__(self) -> None:
        self._console: Console | None = None
        self._live: Live | None = None
        self._done = threading.Event()
        self._watcher: threading.Thread | None = None
        self._session: Session | None = None
        self._running = ""
        self._states: list[State] = []  # of the criteria that are decided

    def attach(self, config: pytest.Config, session: "Session") -> None:
        """Take over the terminal that pytest writes to, and write the headline of the gate."""
        reporter = config.pluginmanager.get_plugin("terminalreporter")
        if reporter is None:
            return
        reporter.showfspath = False  # the gate's lines name the criterion
        reporter._show_progress_info = False  # noqa: SLF001 - the gate's lines show the progress
        reporter.flush()
        writer = reporter._tw  # noqa: SLF001 - one stream for its lines and the gate's keeps their order
        writer._file = stream.duplicate(writer._file)  # noqa: SLF001 - see above
        self._console = stream.console(writer._file)  # noqa: SLF001 - see above
        self._session = session
        rehearsal = "  [yellow]rehearsal: promotes nothing[/]" if session.criteria.rehearsal else ""
        self._console.print(
            f"gate [bold]{escape(session.environment.name)}[/], stage [bold]{session.stage}[/]: "
            f"{len(session.promised)} criteria, run {session.run}{rehearsal}"
        )

    def log(self, text: str) -> None:
        """Write one line about the current step."""
        if self._console is not None:
            self._console.print(f"  [dim]{escape(text)}[/]")

    def test_started(self, nodeid: str) -> None:
        """Show the running test; the first one starts the display."""
        self._running = nodeid.rpartition("::")[2].removeprefix("test_").replace("_", " ")
        if self._watcher is None and self._console is not None:
            if self._console.is_terminal:
                self._live = Live(
                    console=self._console,
                    transient=True,
                    auto_refresh=False,
                    redirect_stdout=False,
                    redirect_stderr=False,
                )
                self._live.start()
            self._watcher = threading.Thread(target=self._watch, daemon=True)
            self._watcher.start()

    def test_finished(self, criterion_id: str, properties: dict[str, object], outcome: str) -> None:
        """Write the line of one criterion."""
        if self._console is None:
            return
        state = State(str(properties.get("state", State.INCONCLUSIVE)))
        why = outcome.removeprefix(UNDECIDED) if state is State.INCONCLUSIVE else str(properties.get("why", outcome))
        if state is not State.NOT_APPLICABLE:
            self._states.append(state)
        self._console.print(
            f"  [{STYLES[state]}]{words.MARKS[state]} {state:<14}[/] {criterion_id:<20} {escape(named(why))}"
        )

    def stop(self) -> None:
        """Remove the live display."""
        self._done.set()
        if self._watcher is not None:
            self._watcher.join()
        if self._live is not None:
            self._live.stop()

    def verdict(self, verdict: Verdict, folder: Path) -> None:
        """Write the verdict table and where the evidence is."""
        if self._console is None:
            return
        assert self._session is not None  # noqa: S101 - for the type checker: attached with the console
        steps = NextSteps(verdict, short(folder), self._session.criteria)
        show(self._console, verdict, steps)
        for line in github.annotations(verdict, steps, inherited()):
            self._console.print(line, markup=False, soft_wrap=True)
        with contextlib.suppress(OSError):
            github.summarise(folder / evidence.SUMMARY, inherited())
        self._console.print(f"evidence  {escape(str(short(folder)))}")
        self._console.print(f"report    {escape(str(short(evidence.report_in(folder))))}")

    def last_line(self, line: str) -> None:
        """Write the last line of the gate, never wrapped: scripts read it."""
        if self._console is not None:
            self._console.print(escape(line), soft_wrap=True)

    # progress ------------------------------------------------------------------------------------

    def _watch(self) -> None:
        assert self._session is not None  # noqa: S101 - for the type checker: only started when attached
        started_s = last_plain_s = time.monotonic()
        written = jsonl.Reader(self._session.gate.measurements)
        while not self._done.wait(_REFRESH_S):
            now_s = time.monotonic()
            lines = progress.lines(self._session.folder, {record["name"] for record in written.records()})
            if self._live is not None:
                running = Text(f"  running: {self._running}", "dim")
                summary = Text(f"  {self._summary(lines, now_s - started_s)}", "bold")
                self._live.update(Group(*(_bar(line) for line in lines if line.runs), running, summary), refresh=True)
            elif self._console is not None and now_s - last_plain_s >= _PLAIN_EVERY_S:
                last_plain_s = now_s
                looks = "; ".join(f"{line.look} {line.worst}" for line in lines if line.runs)
                self._console.print(f"  … {escape(self._summary(lines, now_s - started_s))}; {escape(looks)}")

    def _summary(self, lines: list[progress.ProgressLine], elapsed_s: float) -> str:
        """Return the progress in one line: `12 min 03 s, about 18 min 20 s left; 9 of 19 decided`."""
        assert self._session is not None  # noqa: S101 - for the type checker: only called when attached
        planned = self._session.planned_criteria() or []
        left_s = progress.left_s(lines, self._session.criteria.looks, {each.look for each in planned}, elapsed_s)
        counted = ", ".join(f"{self._states.count(state)} {state}" for state in State if state in self._states)
        decided = f"{len(self._states)} of {len(planned)} decided" + (f": {counted}" if counted else "")
        return f"{words.duration(elapsed_s)}, about {words.duration(left_s)} left; {decided}"


def _bar(line: progress.ProgressLine) -> Table:
    row = Table.grid(padding=(0, 1))
    row.add_row(
        f"  {line.look:<12}",
        ProgressBar(total=line.of_s, completed=min(line.t_s, line.of_s), width=24),
        f"{line.t_s:.0f}/{line.of_s:.0f} s",
        escape(line.worst),
    )
    return row

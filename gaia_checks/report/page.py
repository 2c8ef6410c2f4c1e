"""The verdict as text for people: verdict.md, and the evidence of one criterion. Pure."""

import json
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

from gaia_checks.model import CriterionVerdict, Finding, Measurement, Release, State, Verdict
from gaia_checks.report import check_names, words

_HEADINGS = ("measured", "bound", "threshold", "n")
_LONGEST_VALUE = 200  # characters; a histogram is longer, and unreadable
_MEANINGS = {
    State.PASS: "every criterion that applies is met",
    State.FAIL: "a criterion is not met",
    State.INCONCLUSIVE: "the evidence does not decide; this is not a pass",
}


def markdown(verdict: Verdict, passed_last: Mapping[str, str] = MappingProxyType({})) -> str:
    """Return verdict.md: the state, the release, the table, and the reason of everything that did not pass.

    `passed_last` is criterion -> the gate in which it passed last, where that is news.
    """
    return "\n\n".join(
        part
        for part in (
            f"# {_headline(verdict)}",
            meaning(verdict),
            _rehearsal(verdict),
            _identity(verdict),
            "## Criteria",
            _table(verdict.criteria),
            "\n".join(f"- {remark}" for remark in verdict.remarks),
            _reasons(verdict.criteria, passed_last),
        )
        if part
    ) + "\n"  # fmt: skip


def summary(verdict: Verdict) -> str:
    """Return the verdict in one line: `FAIL: local, stage dev, phase-11.4 (1 fail, 6 pass)`."""
    phase = f", {verdict.release.phase}" if verdict.release else ""
    state = verdict.state.upper()
    return f"{state}: {verdict.environment}, stage {verdict.stage}{phase} ({_counts(verdict.criteria)})"


def meaning(verdict: Verdict) -> str:
    """Return what the state means, and the counts of the criteria's states."""
    return f"{_MEANINGS[verdict.state].capitalize()}: {_counts(verdict.criteria)}."


def findings(verdict: CriterionVerdict) -> str:
    """Return all findings of one criterion as plain text in aligned columns."""
    rows = [("", "check", *_HEADINGS)]
    rows += [(words.MARKS[check.state], check_names.of(check), *words.columns(check)) for check in verdict.checks]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    table = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    reasons = [f"{words.MARKS[check.state]} {check.measurement}: {reason(check)}" for check in verdict.checks]
    head = (f"{verdict.id}: {verdict.claim}", f"{words.MARKS[verdict.state]} {verdict.state}: {reason(verdict)}")
    return "\n".join((*head, "", *table, "", *reasons)) + "\n"


def evidence(verdict: CriterionVerdict, measurements: Iterable[Measurement]) -> str:
    """Return the findings of one criterion and, below them, the measurements behind them."""
    return "\n".join((findings(verdict), *(_measurement(measurement) for measurement in measurements)))


def description(verdict: CriterionVerdict) -> str:
    """Return the findings of one criterion in Markdown."""
    rows = [("", "check", *_HEADINGS), ("---",) * 6]
    rows += [(words.MARKS[check.state], check_names.of(check), *words.columns(check)) for check in verdict.checks]
    reasons = "\n".join(f"- {words.MARKS[c.state]} {c.measurement}: {_cell(reason(c))}" for c in verdict.checks)
    head = f"{words.MARKS[verdict.state]} **{verdict.state}**: {_cell(reason(verdict))}"
    return "\n\n".join((head, _rows(rows), reasons)) + "\n"


def reason(verdict: CriterionVerdict | Finding) -> str:
    """Return the reason in one line, and how much more time would decide."""
    return " ".join(check_names.named(verdict.why).split()) + words.forecast(verdict.needs_s)


def _headline(verdict: Verdict) -> str:
    return f"{words.MARKS[verdict.state]} {verdict.state.upper()}: {verdict.environment}, stage {verdict.stage}"


def _counts(criteria: Sequence[CriterionVerdict]) -> str:
    counts = {state: sum(criterion.state is state for criterion in criteria) for state in State}
    return ", ".join(f"{count} {state}" for state, count in counts.items() if count) or "no criteria"


def _rehearsal(verdict: Verdict) -> str:
    if not verdict.rehearsal:
        return ""
    return "**Rehearsal**: windows, rates or counts are below those that the criteria require. It promotes nothing."


def _identity(verdict: Verdict) -> str:
    lines = (
        f"run `{verdict.run}`, started {verdict.started_at}, took {words.duration(verdict.duration_s)}",
        _release(verdict.release),
    )
    return "\n".join(f"- {line}" for line in lines)


def _release(release: Release | None) -> str:
    if release is None:
        return "release: unknown, the target does not report it"
    commit = f", commit `{release.commit[:12]}`" if release.commit else ""
    migrations = ", ".join(release.migrations) or "none"
    return f"release `{release.phase}`{commit}, sha256 `{release.sha256}`, migrations: {migrations}"


def _table(criteria: Iterable[CriterionVerdict]) -> str:
    rows = [("id", "claim", *_HEADINGS, "state"), ("---",) * 7]
    rows += [
        (verdict.id, verdict.claim, *words.columns(verdict), f"{words.MARKS[verdict.state]} {verdict.state}")
        for verdict in criteria
    ]
    return _rows(rows)


def _rows(rows: Iterable[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(map(_cell, row))} |" for row in rows)


def _reasons(criteria: Sequence[CriterionVerdict], passed_last: Mapping[str, str]) -> str:
    failed = [criterion for criterion in criteria if criterion.state is State.FAIL]
    undecided = [criterion for criterion in criteria if criterion.state is State.INCONCLUSIVE and criterion.n]
    unchecked = [criterion for criterion in criteria if criterion.state is State.INCONCLUSIVE and not criterion.n]
    inapplicable = [criterion for criterion in criteria if criterion.state is State.NOT_APPLICABLE]
    sections = (
        ("Not met", failed), ("Not decided", undecided), ("Not checked", unchecked), ("Not applicable", inapplicable),
    )  # fmt: skip
    return "\n\n".join(f"## {title}\n\n{_by_reason(members, passed_last)}" for title, members in sections if members)


def _by_reason(members: Iterable[CriterionVerdict], passed_last: Mapping[str, str]) -> str:
    """Return one line per reason, with all criteria that share it."""
    grouped: dict[str, list[str]] = {}
    for member in members:
        before = f"; passed last in {passed_last[member.id]}" if member.id in passed_last else ""
        grouped.setdefault(_cell(reason(member) + before), []).append(f"**{member.id}**")
    return "\n".join(f"- {', '.join(ids)}: {why}" for why, ids in grouped.items())


def _measurement(measurement: Measurement) -> str:
    value = json.dumps(measurement.value)
    shown = value if len(value) <= _LONGEST_VALUE else f"{value[:_LONGEST_VALUE]}... ({len(value)} characters)"
    lines = (
        f"{measurement.name} = {shown} {measurement.unit}, n = {measurement.n}",
        f"  {measurement.how}; observed for {words.duration(measurement.window_s)} until {measurement.at}",
        *(f"  - {note}" for note in measurement.notes),
    )
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    """Escape a text for a table cell."""
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;")

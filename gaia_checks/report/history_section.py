"""The report's section History: what the last gates measured, and since when each criterion has its state. Pure."""

from collections.abc import Collection, Iterable, Sequence
from html import escape
from itertools import pairwise

from gaia_checks.model import Criterion, Finding
from gaia_checks.report import check_names, margins, sparkline, words
from gaia_checks.report.earlier_gates import History, PastGate
from gaia_checks.report.sparkline import PastValue


def section(history: History, criteria: Sequence[Criterion]) -> str:
    """Return the section as HTML, in the order of the table of criteria."""
    *earlier, now = history.gates
    left_out = ", ".join(f"{count} that {why}" for why, count in sorted(history.left_out.items()))
    note = f" Left out: {left_out}." if left_out else ""
    if not earlier:
        text = f"No earlier gate of {now.verdict.environment} has its evidence beside this one.{note}"
        return f"<h2>History</h2><p>{escape(text)}</p>"
    generator = margins.of_generator(criteria)
    rows = "".join(
        _row(history, each.criterion.id, each.criterion.claim, generator)
        for each in margins.table(now.verdict.criteria, criteria)
    )
    return (
        f"<h2>History</h2><p>{escape(_legend(history) + note)}</p>{_key()}"
        f'<div class="wide history" tabindex="0">{_table(("criterion", "gates", "first", "last", "since"), rows)}</div>'
        f'<details class="gates"><summary>The {len(history.gates)} gates</summary>'
        f'<div class="wide" tabindex="0">{_gates(history)}</div></details>'
    )


def _legend(history: History) -> str:
    """Return what the pictures show, and what they rest on."""
    return (
        f"The last {len(history.gates)} gates of {history.gates[-1].verdict.environment} with evidence beside this "
        "one, which is on the right; their verdicts are taken as they stand. Each row shows the check that is closest "
        "to its limit here. Values are joined only where they compare: by the same criteria, and rehearsal with "
        "rehearsal."
    )


def _key() -> str:
    signs = "".join(
        f'<span><svg viewBox="0 0 16 16" width="16" height="16" aria-hidden="true">{sign}</svg>{escape(meaning)}</span>'
        for sign, meaning in sparkline.key()
    )
    return f'<p class="key">{signs}</p>'


def _table(names: Iterable[str], rows: str) -> str:
    heads = "".join(f'<th scope="col">{name}</th>' for name in names)
    return f"<table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>"


def _row(history: History, criterion: str, claim: str, generator: Collection[str]) -> str:
    values = _values(history, criterion, generator)
    checks = [each.check for each in values if each.check]
    what = f"{check_names.of(checks[-1])}, required: {_required(checks[-1])}" if checks else "not checked"
    state, since = values[-1].state, history.since(criterion)
    ends = (("first", values[0]), ("last", values[-1]))
    numbers = "".join(f'<td class="number" data-label="{name}">{escape(_amount(each))}</td>' for name, each in ends)
    return (
        f'<tr class="{state.replace(" ", "-")}"><td class="claim">{escape(claim)}'
        f"<small>{escape(f'{criterion}: {what}{_changes(values)}')}</small></td>"
        f'<td class="picture">{sparkline.draw(values, history.gates, f"{claim}: {since}")}</td>{numbers}'
        f'<td class="since">{words.MARKS[state]} {escape(since)}</td></tr>'
    )


def _values(history: History, criterion: str, generator: Collection[str]) -> list[PastValue]:
    """Return what each gate that judged the criterion measured for one check: the newest one's closest to its limit.

    A measurement may have several checks, or have been made twice: the worst of them is shown.
    """
    judged = [(number, gate, found) for number, gate in enumerate(history.gates, 1) if (found := gate.of(criterion))]
    checks = [[each for each in found.checks if each.measurement not in generator] for _, _, found in judged]
    shown = next((worst for own in reversed(checks) if (worst := margins.worst(own))), None)
    same = [margins.worst(each for each in own if shown and _what(each) == _what(shown)) for own in checks]
    return [
        PastValue(number, gate, found.state, each) for (number, gate, found), each in zip(judged, same, strict=True)
    ]


def _what(check: Finding) -> tuple[str, str]:
    return check.measurement, check.unit


def _amount(each: PastValue) -> str:
    """Return a number or a truth value; a text of a server may have any length."""
    measured = each.check.measured if each.check else None
    shown = each.value if each.value is not None else measured if isinstance(measured, bool) else None
    return words.amount(shown, each.check.unit if each.check else "")


def _required(check: Finding) -> str:
    """Return `≤ 100 ms`, which stays on one line."""
    return words.columns(check)[2].replace(" ", "\N{NO-BREAK SPACE}")


def _changes(values: Iterable[PastValue]) -> str:
    """Return what was required before: `; until gate 3: ≤ 50 ms`."""
    limited = [(each, each.check) for each in values if each.limit is not None and each.check]
    return "".join(
        f"; until gate {before.number}: {_required(check)}"
        for (before, check), (after, _) in pairwise(limited)
        if before.limit != after.limit
    )


def _gates(history: History) -> str:
    rows = "".join(_gate(number, gate) for number, gate in enumerate(history.gates, 1))
    return _table(("gate", "started (UTC)", "run", "release", "stage", "verdict"), rows)


def _gate(number: int, gate: PastGate) -> str:
    verdict, release = gate.verdict, gate.verdict.release
    commit = f", commit {release.commit[:7]}" if release and release.commit else ""
    built = f"{release.phase}{commit}, sha256 {release.sha256[:12]}" if release else "unknown"
    kind = ", rehearsal" if verdict.rehearsal else ""
    cells = (str(number), f"{gate.started_at:%Y-%m-%d %H:%M}", verdict.run, built, f"{verdict.stage}{kind}")
    plain = "".join(f"<td>{escape(cell)}</td>" for cell in cells)
    return (
        f'<tr class="{verdict.state}">{plain}<td class="state">{words.MARKS[verdict.state]} {verdict.state}</td></tr>'
    )

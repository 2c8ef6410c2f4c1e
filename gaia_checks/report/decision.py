"""The first page of the report: the decision and what it rests on, readable without a script and on paper. Pure.

Pictures stand in it by their path; `render` puts them into the one file.
"""

from collections.abc import Iterable, Sequence
from html import escape
from importlib.resources import files

from gaia_checks.model import STAGES, Criterion, CriterionVerdict, Finding, Release, State, Verdict
from gaia_checks.report import check_names, margins, page, words

PICTURES = "../pictures/"
"""The pictures' folder, as the page among the results names it."""

_MARGIN = "margin left"


def document(verdict: Verdict, criteria: Sequence[Criterion], chart: str, history: str, pictures: Sequence[str]) -> str:
    """Return the page as HTML: verdict, release, criteria, the gate's chart, its history, pictures (paths), checks."""
    css = files("gaia_checks.report").joinpath("decision.css").read_text(encoding="utf-8")
    rows = margins.table(verdict.criteria, criteria)
    return "\n".join(
        (
            f"<style>{css}</style>",
            f'<main class="decision" aria-label="{escape(page.summary(verdict))}">',
            _head(verdict),
            _criteria(rows),
            f'<h2>The gate over time</h2><div class="wide chart" tabindex="0">{chart}</div>',
            history,
            _pictures(pictures),
            "<h2>Every check</h2>",
            *(_checks(row.criterion) for row in rows if row.criterion.checks),
            "</main>\n",
        )
    )


def _head(verdict: Verdict) -> str:
    phase = f", release {verdict.release.phase}" if verdict.release else ""
    where = f"{verdict.environment}, stage {verdict.stage}{phase}"
    took = words.duration(verdict.duration_s)
    facts = (
        ("release", _release(verdict.release)),
        ("may be signed", escape(_signers(verdict))),
        ("run", f"<code>{escape(verdict.run)}</code>, started {escape(verdict.started_at)}, took {took}"),
        *((escape(name), escape(value)) for name, _, value in (each.partition(": ") for each in verdict.remarks)),
    )
    listed = "".join(f"<dt>{name}</dt><dd>{value}</dd>" for name, value in facts)
    rehearsal = "<p><strong>Rehearsal</strong>: smaller than the criteria require. It promotes nothing.</p>"
    return (
        f'<header class="{verdict.state}"><h1>{words.MARKS[verdict.state]} {verdict.state.upper()}: '
        f"{escape(where)}</h1><p>{escape(page.meaning(verdict))}</p></header>"
        f"{rehearsal if verdict.rehearsal else ''}<dl>{listed}</dl>"
    )


def _release(release: Release | None) -> str:
    if release is None:
        return "unknown: the target does not report it"
    commit = f", commit <code>{escape(release.commit[:12])}</code>" if release.commit else ""
    migrations = f"{len(release.migrations)} migrations" if release.migrations else "no migrations"
    return f"{escape(release.phase)}{commit}, sha256 <code>{escape(release.sha256)}</code>, {migrations}"


def _signers(verdict: Verdict) -> str:
    """Return who may sign what this gate leads to, and the command that lists the items."""
    if verdict.state is not State.PASS:
        return f"no: only a pass is signed, and this is {verdict.state}"
    if verdict.rehearsal:
        return "no: a rehearsal is not signed"
    if verdict.stage == STAGES[-1]:
        return "nothing left to sign: this is the last stage"
    entered = STAGES[STAGES.index(verdict.stage) + 1]
    phase = verdict.release.phase if verdict.release else "PHASE"
    return (
        f"by whom environments/allowed_signers on the branch of {entered} names; "
        f"gaia checklist {entered} {phase} lists the items and who has signed"
    )


def _criteria(rows: Iterable[margins.Margin]) -> str:
    heads = ("criterion", "state", "measured", "bound", "threshold", _MARGIN)
    columns = "".join(f'<th scope="col">{head}</th>' for head in heads)
    return (
        '<h2>Criteria</h2><div class="wide" tabindex="0"><table><caption>Closest to the limit first. Each row shows '
        "the check of its criterion that is closest; the margin is the share of what is allowed that is left.</caption>"
        f"<thead><tr>{columns}</tr></thead><tbody>{''.join(map(_row, rows))}</tbody></table></div>"
    )


def _row(row: margins.Margin) -> str:
    verdict = row.criterion
    measured, bound, threshold, n = words.columns(row.finding)
    why = page.reason(verdict) if verdict.state is not State.PASS else f"{_title(row.finding)} (n = {n})"
    shown = (("measured", measured), ("bound", bound), ("threshold", threshold), (_MARGIN, _share(row)))
    numbers = "".join(f'<td class="number" data-label="{name}">{escape(value)}</td>' for name, value in shown)
    css_class = verdict.state.replace(" ", "-")
    return (
        f'<tr class="{css_class}"><td class="claim">{escape(verdict.claim)}'
        f"<small>{escape(verdict.id)}: {escape(why)}</small></td>"
        f'<td class="state">{words.MARKS[verdict.state]} {verdict.state}</td>{numbers}</tr>'
    )


def _share(row: margins.Margin) -> str:
    if row.criterion.n == 0:
        return "–"
    return "exact" if row.margin is None else f"{words.number(100 * row.margin, 2)} %"


def _title(found: Finding | CriterionVerdict) -> str:
    return check_names.of(found) if isinstance(found, Finding) else found.claim


def _pictures(paths: Sequence[str]) -> str:
    shown = "".join(
        f'<figure><img src="{PICTURES}{escape(path)}" alt="{escape(_caption(path))}">'
        f"<figcaption>{escape(_caption(path))}</figcaption></figure>"
        for path in paths
    )
    return f'<h2>Pictures</h2><div class="pictures">{shown}</div>' if shown else ""


def _caption(path: str) -> str:
    """`dashboard/1-overview.jpg` -> `dashboard: overview`."""
    look, _, name = path.removesuffix(".jpg").partition("/")
    return f"{look}: {name.partition('-')[2] or name}"


def _checks(verdict: CriterionVerdict) -> str:
    """Return the checks of one criterion in words; open where it did not pass."""
    lines = "".join(
        f"<li>{words.MARKS[each.state]} {escape(sentence(each))}</li>" for each in dict.fromkeys(verdict.checks)
    )
    opened = "" if verdict.state in (State.PASS, State.NOT_APPLICABLE) else " open"
    head = f"{words.MARKS[verdict.state]} {verdict.claim} ({verdict.id})"
    return f"<details{opened}><summary>{escape(head)}</summary><ul>{lines}</ul></details>"


def sentence(finding: Finding) -> str:
    """Return one check in words: `lateness of requests, p99: 4.1 ms (required: ≤ 10 ms)`."""
    measured, bound, threshold, _ = words.columns(finding)
    by = f", bound {bound}" if finding.bound is not None else ""
    why = f"; {page.reason(finding)}" if finding.state is not State.PASS else ""
    return f"{check_names.of(finding)}: {measured}{by} (required: {threshold}){why}"

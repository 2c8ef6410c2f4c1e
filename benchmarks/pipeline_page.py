"""The page of a rehearsed pipeline: per stage and release who let it in, what the gate found, what became of it."""

import json
import shutil
from collections.abc import Iterable, Iterator
from html import escape
from pathlib import Path
from typing import Any

from gaia_checks.deploy.git.git_remote import GitRemote
from gaia_checks.errors import NotSigned
from gaia_checks.model import STAGES
from gaia_checks.promotion.statements import signed, statement, statements_ref
from gaia_checks.promotion.statements.signed import Signed

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem; color: #1a1a1a; background: #fff }
.pipeline { display: grid; grid-template-columns: max-content repeat(3, minmax(15rem, 1fr)); gap: 1rem 2.5rem }
.pipeline h2 { font-size: 1rem; margin: 0 }
.stage { border: 1px solid #ccc; border-left: 6px solid #ccc; border-radius: 4px; padding: .6rem 1rem }
.stage { position: relative }
.stage + .stage::before { content: "\\2192"; position: absolute; left: -2.2rem; font-size: 1.4rem; color: #555 }
.stage.good { border-left-color: #176b2c } .stage.bad { border-left-color: #a8071a }
.stage.open { border-left-color: #8a5a00 }
dl { margin: 0 } dt { color: #555; font-size: 13px } dd { margin: 0 0 .4rem; overflow-wrap: anywhere }
.pass, .deployed, .finished { color: #176b2c } .fail, .refused, .failed { color: #a8071a; font-weight: 600 }
.inconclusive, .forced { color: #8a5a00 } small { color: #555 }
@media (max-width: 60rem) { .pipeline { display: block } .stage { margin: .5rem 0 } .stage::before { display: none } }
"""


def write(folder: Path, remote: GitRemote, allowed: str, machines: Path, phases: Iterable[str]) -> Path:
    """Write index.html, and a copy of every gate's report beside it; return its path."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    known = list(_signed(remote, allowed))
    stages = [f"<h2>{stage}</h2>" for stage in STAGES]
    cells = [_cells(folder, machines, phase, known) for phase in phases]
    page = folder / "index.html"
    page.write_text(
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Pipeline rehearsal</title><style>{_STYLE}</style>'
        f"<h1>Pipeline rehearsal</h1><p>{len(known)} signed statements in {statements_ref.REF}</p>"
        f'<div class="pipeline"><h2>release</h2>{"".join(stages)}{"".join(cells)}</div></html>\n'
    )
    return page


def _signed(remote: GitRemote, allowed: str) -> Iterator[Signed]:
    for entry in statements_ref.read(remote):
        try:
            yield signed.check(entry, statement.parse(entry.envelope), allowed)
        except NotSigned:
            continue


def _cells(folder: Path, machines: Path, phase: str, known: list[Signed]) -> str:
    stages = (_stage(folder, machines / stage, phase, known) for stage in STAGES)
    return f"<h2>{escape(phase)}</h2>{''.join(stages)}"


def _stage(folder: Path, machine: Path, phase: str, known: list[Signed]) -> str:
    """Return a release in one stage: who let it in, what became of it, what the gate decided, and its statement."""
    stage = machine.name
    own = [one for one in known if one.statement.environment == stage and one.statement.release.phase == phase]
    service = _service([line for line in _ledger(machine) if line["phase"] == phase])
    gate = _gate(folder, machine, stage, own)
    rows = {
        "let in by": _entered(own) or ("its tag alone" if stage == "dev" else "nobody"),
        "in service": service,
        "gate": gate,
    }
    bad = any(f'class="{word}"' in service + gate for word in ("fail", "failed", "refused"))
    kind = "bad" if bad else "open" if "inconclusive" in gate else "good" if service or gate else "unused"
    shown = "".join(f"<dt>{name}</dt><dd>{value}</dd>" for name, value in rows.items() if value)
    return f'<section class="stage {kind}" aria-label="{escape(phase)} in {stage}"><dl>{shown}</dl></section>'


def _entered(own: list[Signed]) -> str:
    """Return who let the release in: sign-offs, or a force."""
    people = []
    for one in own:
        at, by = f"{one.statement.at:%H:%M:%S}", escape(one.by)
        if one.statement.kind == statement.SIGN_OFF:
            people.append(f"{escape(one.statement.predicate['item'])}: {by} <small>{at}</small>")
        if one.statement.kind == statement.FORCE:
            why = escape(one.statement.predicate["why"])
            people.append(f'<span class="forced">forced</span> by {by}: {why} <small>{at}</small>')
    return "<br>".join(people)


def _service(lines: list[dict[str, Any]]) -> str:
    """Return what became of it on this machine: each deployment, rollback and refusal."""
    shown = []
    for line in lines:
        if line["step"] == "deployment" and line["event"] != "started":
            shown.append((line["at"], line["kind"], line["event"], ""))
        if line["step"] == "watch" and line["event"] == "failed":
            shown.append((line["at"], "tag", "refused", escape(line["why"].partition(";")[0])))
    cells = [
        f'{what} <span class="{event}">{event}</span> <small>{at[11:19]} {why}</small>'
        for at, what, event, why in shown
    ]
    return "<br>".join(cells)


def _gate(folder: Path, machine: Path, stage: str, own: list[Signed]) -> str:
    """Return the newest verdict with a link to its report, and who signed its statement."""
    verdicts = [one for one in own if one.statement.kind == statement.VERDICT]
    if not verdicts:
        return ""
    newest = verdicts[-1]
    state, run = newest.statement.predicate["state"], newest.statement.predicate["run"]
    report = machine / "reports" / stage / run / "report.html"
    link = escape(run)
    if report.exists():
        shutil.copy(report, folder / f"{stage}-{run}.html")
        link = f'<a href="{stage}-{run}.html">{link}</a>'
    return (
        f'<span class="{state}">{state}</span> {link}<br><small>statement {newest.position}, '
        f"{newest.statement.digest[:12]}, signed by {escape(newest.by)} {newest.statement.at:%H:%M:%S}</small>"
    )


def _ledger(machine: Path) -> list[dict[str, Any]]:
    path = machine / "log" / "deployments.log"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

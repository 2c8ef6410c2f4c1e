"""The page of a rehearsed pipeline: per stage and release who let it in, what the gate found, what became of it."""

import json
import shutil
from collections.abc import Iterable, Iterator
from html import escape
from pathlib import Path
from typing import Any

from gaia_checks.deploy.git.git_remote import GitRemote
from gaia_checks.errors import NotSigned
from gaia_checks.promotion.statements import signed, statement, statements_ref
from gaia_checks.promotion.statements.signed import Signed

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem; color: #1a1a1a; background: #fff }
table { border-collapse: collapse }
th, td { text-align: left; vertical-align: top; padding: .5rem 1rem; border-bottom: 1px solid #ddd }
.pass, .deployed, .finished { color: #176b2c } .fail, .refused, .failed { color: #a8071a; font-weight: 600 }
.inconclusive, .forced { color: #8a5a00 } small { color: #555 }
"""


def write(folder: Path, remote: GitRemote, allowed: str, machines: Path, phases: Iterable[str]) -> Path:
    """Write index.html, and a copy of every gate's report beside it; return its path."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    known = list(_signed(remote, allowed))
    rows = [
        _row(folder, machines, stage.name, phase, known)
        for phase in phases
        for stage in sorted(machines.iterdir(), key=lambda one: ("dev", "qa", "prod").index(one.name))
    ]
    head = "".join(
        f"<th>{name}</th>" for name in ("release", "stage", "entered by", "in service", "its gate", "statement")
    )
    page = folder / "index.html"
    page.write_text(
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Pipeline rehearsal</title><style>{_STYLE}</style>'
        f"<h1>Pipeline rehearsal</h1><p>{len(known)} signed statements in {statements_ref.REF}</p>"
        f"<table><tr>{head}</tr>{''.join(rows)}</table></html>\n"
    )
    return page


def _signed(remote: GitRemote, allowed: str) -> Iterator[Signed]:
    for entry in statements_ref.read(remote):
        try:
            yield signed.check(entry, statement.parse(entry.envelope), allowed)
        except NotSigned:
            continue


def _row(folder: Path, machines: Path, stage: str, phase: str, known: list[Signed]) -> str:
    own = [one for one in known if one.statement.environment == stage and one.statement.release.phase == phase]
    lines = [line for line in _ledger(machines / stage) if line["phase"] == phase]
    cells = (
        escape(phase),
        stage,
        _entered(own) or ("its tag alone" if stage == "dev" else "nobody"),
        _service(lines),
        *_gate(folder, machines / stage, stage, own),
    )
    return "<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"


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
    return "<br>".join(cells) or "-"


def _gate(folder: Path, machine: Path, stage: str, own: list[Signed]) -> tuple[str, str]:
    """Return the newest verdict with a link to its report, and its statement."""
    verdicts = [one for one in own if one.statement.kind == statement.VERDICT]
    if not verdicts:
        return "-", "-"
    newest = verdicts[-1]
    state, run = newest.statement.predicate["state"], newest.statement.predicate["run"]
    report = machine / "reports" / stage / run / "report.html"
    link = escape(run)
    if report.exists():
        shutil.copy(report, folder / f"{stage}-{run}.html")
        link = f'<a href="{stage}-{run}.html">{link}</a>'
    digest = newest.statement.digest[:12]
    return (
        f'<span class="{state}">{state}</span><br><small>{link}</small>',
        f"{newest.position}: {digest}<br><small>{escape(newest.by)}, {newest.statement.at:%H:%M:%S}</small>",
    )


def _ledger(machine: Path) -> list[dict[str, Any]]:
    path = machine / "log" / "deployments.log"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

"""The page for the wall: a card per environment, its verdict and state in large words. Pure.

Works without a script; with one it shows itself again every few seconds and says when that stops (`wall_page.js`).
"""

from datetime import datetime, timedelta
from html import escape
from urllib.parse import quote

from gaia_checks.deploy.reporting.history import Entry
from gaia_checks.model import minute, timestamp
from gaia_checks.printable import printable
from gaia_checks.promotion.environment_row import EnvironmentRow, lines
from gaia_checks.serve.board import Snapshot

_STALE = timedelta(seconds=30)  # a reading takes seconds; a remote that does not answer holds it up for minutes

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Environments</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/page.css">
<noscript><meta http-equiv="refresh" content="5"></noscript>
<script src="/page.js" defer></script>
</head>
<body>
<header><h1>Environments</h1><p id="read">{read}</p></header>
<p id="notice" role="alert">{notice}</p>
<main id="board">{cards}</main>
</body>
</html>
"""


def document(found: Snapshot, now: datetime) -> str:
    """Return the page as HTML."""
    read = f"read {_second(found.at)}" if found.at else ""
    return _PAGE.format(read=read, notice=_text(_notice(found, now)), cards="".join(map(_card, found.rows)))


def _notice(found: Snapshot, now: datetime) -> str:
    """Return why the page may not be trusted, empty where it may."""
    if found.fault:
        return f"The records cannot be read: {found.fault}"
    if found.at is None:
        return "The records are being read; this page shows them in a moment."
    if now - found.at > _STALE:
        return f"Not read since {_second(found.at)}: a git remote does not answer. What stands below is of then."
    return "" if found.rows else "There is no file in environments/."


def _card(row: EnvironmentRow) -> str:
    verdict = row.verdict.state if row.verdict else "none"
    word = row.verdict.state if row.verdict else "not gated" if row.phase else "nothing here"
    facts = "".join(_fact(*line) for line in lines(row))
    return (
        f'<article class="{_kind(verdict)}" aria-label="{_text(row.environment)}">'
        f'<header><h2>{_text(row.environment)}</h2><span class="state {_kind(row.state)}">{_text(row.state)}</span>'
        f'</header><p class="verdict">{_text(word)}</p><p class="phase">{_text(row.phase or "")}</p>'
        f"{_gate(row)}<dl>{facts}</dl>{_deployments(row)}</article>"
    )


def _gate(row: EnvironmentRow) -> str:
    """When the gate started, and its report."""
    found = row.verdict
    if found is None:
        return ""
    when = f"gated {_text(minute(found.started_at))}" if found.started_at else ""
    link = f' <a href="/reports/{escape(quote(found.report))}">report</a>' if found.report else ""
    return f'<p class="gate">{when}{link}</p>'


def _fact(what: str, state: str, found: str) -> str:
    shown = _command(found) if what == "next" else _text(found)
    word = f'<b class="{_kind(state)}">{_text(state)}</b> ' if what == "let in" else ""
    warns = ' class="remark"' if what == "remark" else ""
    return f"<div{warns}><dt>{_text(what)}</dt><dd>{word}{shown}</dd></div>"


def _command(words: str) -> str:
    """Each word is a box of its own, so that a narrow page breaks no option after its hyphens."""
    return f"<code>{' '.join(f'<span>{_text(word)}</span>' for word in words.split())}</code>"


def _deployments(row: EnvironmentRow) -> str:
    if not row.deployments:
        return ""
    return f"<h3>Last deployments</h3><ol>{''.join(map(_deployment, row.deployments))}</ol>"


def _deployment(one: Entry) -> str:
    took, by = one.took_s is not None and f"{one.took_s:.0f} s", one.by and f"by {one.by}"
    facts = ", ".join(fact for fact in (minute(one.at), took, by, one.why) if fact)
    return (
        f'<li>{_text(one.what)} {_text(one.phase or "-")} <b class="{_kind(one.outcome)}">{_text(one.outcome)}</b>'
        f"<small>{_text(facts)}</small></li>"
    )


def _kind(word: str) -> str:
    """Return a word as the name of a class."""
    return "".join(each for each in word if each.isascii() and (each.isalnum() or each == " ")).replace(" ", "-")


def _text(found: object) -> str:
    return escape(printable(found))


def _second(at: datetime) -> str:
    return f"{timestamp(at)[:10]} {timestamp(at)[11:19]} UTC"

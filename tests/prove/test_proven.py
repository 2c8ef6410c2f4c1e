"""`gaia prove` as a user calls it: real faults, built, deployed and gated."""

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from gaia_checks.environment.project import ROOT
from tests.docs.commands import to_run
from tests.support.ground import until

FAULT = "dev.api/taken-name-is-a-bad-request"


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder for temporary files and reports, with a name short enough for the sockets below it."""
    with tempfile.TemporaryDirectory(prefix="gp-") as name:
        Path(name).chmod(0o711)
        (Path(name) / "tmp").mkdir()
        (Path(name) / "tmp").chmod(0o711)
        yield Path(name)


def start(folder: Path, *words: str, cwd: Path = ROOT) -> "subprocess.Popen[str]":
    """Start `gaia prove`."""
    variables = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "GAIA"))}
    own = {"TMPDIR": str(folder / "tmp"), "GAIA_REPORTS": str(folder / "reports"), "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [sys.executable, "-m", "gaia_checks.cli", "prove", *words],
        cwd=cwd, env=variables | own, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def prove(folder: Path, *words: str, cwd: Path = ROOT) -> tuple[int, str]:
    """Run `gaia prove`; return its exit code and output."""
    process = start(folder, *words, cwd=cwd)
    output, _ = process.communicate(timeout=240)
    return process.returncode, output


def left(folder: Path) -> list[object]:
    """Return the temporary files, and the processes that were started below the folder."""
    running = [each.info["cmdline"] for each in psutil.process_iter(["cmdline"]) if each.info["cmdline"]]
    return [*(folder / "tmp").iterdir(), *(one for one in running if any(str(folder / "tmp") in word for word in one))]


def test_a_fault_is_caught_once_and_kept(folder: Path) -> None:
    """Matrix, page and exit code agree; the second call tries nothing; nothing remains. By the commands of prove.md."""
    listing, some = (shlex.split(one)[2:] for one in to_run("docs/how-to/prove.md#show-which-faults-the-gate-catches"))
    code, output = prove(folder, *listing)
    assert (code, FAULT in output) == (0, True), output
    page = folder / "proof.md"
    words = [FAULT if word == "qa.access" else word for word in some]
    assert FAULT in words
    code, output = prove(folder, *words, "--document", str(page))
    assert code == 0, output
    assert f"  {FAULT}: " in output, output
    assert "status 400 instead of 409" in page.read_text()
    assert left(folder) == []
    code, output = prove(folder, FAULT)
    assert (code, "1 of 1 faults were tried before" in output) == (0, True), output
    assert "baseline" not in output


def test_ctrl_c_leaves_nothing_behind(folder: Path) -> None:
    """Server, database, gate and folders go; nothing is recorded about the interrupted fault."""
    process = start(folder, FAULT)
    until(lambda: list((folder / "tmp").glob("gaia-prove-*/reports/trial/latest/measurements.jsonl")) != [], 120)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 130, output
    assert left(folder) == []
    assert FAULT not in "".join(path.read_text() for path in (folder / "reports").glob("proof-*.jsonl"))


SERVER = """\
#!/usr/bin/env python3
import http.server
import os

BODY = b'{"status": "healthy", "version": "1", "digest": "%s", "checks": {"database": "ok"}}' % (b"0" * 64)


class Handler(http.server.BaseHTTPRequestHandler):
    answered = 0

    def do_GET(self):
        Handler.answered += 1
        body = BODY
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""

FOREIGN = """\
[environment]
stage = "dev"
database = "none"
host = "127.0.0.1"

[server]
handover = false
paths = ["/healthz"]

[contract.paths]
"/health" = "/healthz"

[prove]
faults = "../faults"
build = "sh -c 'mkdir -p build && cp server.py build/gaia_server'"
"""

PATCH = """\
What: {what}
Why: somebody wanted it so
Criterion: dev.health

--- a/server.py
+++ b/server.py
@@ -13,5 +13,5 @@
         Handler.answered += 1
         body = BODY
-        self.send_response(200)
+        {line}
         self.send_header("Content-Type", "application/json")
         self.send_header("Content-Length", str(len(body)))
"""


def foreign(folder: Path) -> Path:
    """Make the project of a server that is not ours, with three faults."""
    project = folder / "project"
    (project / "environments").mkdir(parents=True)
    (project / "faults" / "dev.health").mkdir(parents=True)
    shutil.copy(ROOT / "starter" / "gaia.ini", project)
    (project / "server.py").write_text(SERVER)
    (project / "environments" / "shop.toml").write_text(FOREIGN)
    faults = {
        "every-third": "self.send_response(200 if Handler.answered < 6 or Handler.answered % 3 else 503)",
        "always": "self.send_response(503)",
        "harmless": "self.send_response(100 + 100)",
    }
    for name, line in faults.items():
        (project / "faults" / "dev.health" / f"{name}.patch").write_text(PATCH.format(what=name, line=line))
    subprocess.run(["git", "init", "-q"], cwd=project, check=True)
    return project


def test_a_server_that_is_not_ours_is_proven(folder: Path) -> None:
    """Its own build is deployed: one fault is caught, one refused by the deployment, and one that is none is missed."""
    (command,) = to_run("docs/how-to/prove.md#a-server-of-your-own")
    code, output = prove(folder, *shlex.split(command)[2:], "--jobs", "3", cwd=foreign(folder))
    path = folder / "reports" / "proof-shop.jsonl"
    assert path.exists(), output
    records = [json.loads(line) for line in path.read_text().splitlines()]
    verdicts = {each["fault"]: each["verdict"] for each in records if "fault" in each}
    assert verdicts == {
        "dev.health/always": "refused earlier",
        "dev.health/every-third": "caught",
        "dev.health/harmless": "missed",
    }, output
    assert code == 1, output
    assert left(folder) == []

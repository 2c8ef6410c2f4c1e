"""A Prometheus of the tests' own: started on a free port, asked over HTTP, ended by its pid."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import yaml

from gaia_checks.deploy.supervisor.spawn import free_port
from gaia_checks.model import Target
from gaia_checks.probes.monitoring.monitoring_probe import FOLDER
from tests.support import plain_http

_READY_S = 20.0


def tool(name: str) -> str:
    """Return where a program of Prometheus is: beside our Python, where `make test` puts it, or installed."""
    found = shutil.which(name, path=os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"])))
    assert found, f"{name} is missing; `make test` fetches it, `apt-get install prometheus` installs it"
    return found


def promtool(*arguments: str, given: str = "", folder: Path = FOLDER) -> str:
    """Run promtool in a folder and return what it said; it must be content."""
    done = subprocess.run(
        (tool("promtool"), *arguments), input=given, cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@dataclass(frozen=True)
class Prometheus:
    """One that runs."""

    url: str

    def ask(self, path: str, **parameters: str) -> Any:
        """Return the data of an answer, which must be a success."""
        answer = plain_http.get(f"{self.url}/api/v1/{path}", params=parameters, trust_env=False)
        assert answer.status_code == 200, answer.text
        assert answer.json()["status"] == "success", answer.text
        return answer.json()["data"]

    def query(self, expression: str) -> list[dict[str, Any]]:
        """Return the series that an expression gives now."""
        found: list[dict[str, Any]] = self.ask("query", query=expression)["result"]
        return found

    def until(self, done: Callable[[], bool], what: Callable[[], object], within_s: float = 30.0) -> None:
        """Wait until its scrapes have told enough; `what` is said when they do not."""
        deadline_s = time.monotonic() + within_s
        while not done():
            assert time.monotonic() < deadline_s, what()
            time.sleep(0.2)


@contextmanager
def running(server: Target, folder: Path) -> Iterator[Prometheus]:
    """Run a Prometheus on the shipped configuration and alerts, pointed at `server` and in more of a hurry."""
    port = free_port()
    (folder / "alerts.yml").write_bytes((FOLDER / "alerts.yml").read_bytes())
    (folder / "prometheus.yml").write_text(yaml.safe_dump(configuration(server)))
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            (
                tool("prometheus"), f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data",
                f"--web.listen-address=127.0.0.1:{port}", "--log.level=warn",
            ),
            stdout=log, stderr=log,
        )  # fmt: skip
    try:
        _until_ready(process, f"http://127.0.0.1:{port}", folder / "log")
        yield Prometheus(f"http://127.0.0.1:{port}")
    finally:
        process.terminate()
        process.wait(_READY_S)


def configuration(server: Target) -> dict[str, Any]:
    """Return the shipped configuration, but every second and for this server."""
    found: dict[str, Any] = yaml.safe_load((FOLDER / "prometheus.yml").read_text())
    found["global"] = dict.fromkeys(found["global"], "1s")
    (job,) = found["scrape_configs"]
    job["scrape_timeout"] = "1s"
    job["static_configs"] = [{"targets": [urlsplit(server.base_url).netloc]}]
    return found


def _until_ready(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline_s = time.monotonic() + _READY_S
    while True:
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline_s, log.read_text()
        try:
            if plain_http.get(f"{url}/-/ready", trust_env=False).status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.05)

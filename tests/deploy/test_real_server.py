"""The real executable on an embedded PostgreSQL, controlled by the command line only."""

import json
import threading
from pathlib import Path

import httpx

from gaia_checks.deploy.postgres import embedded
from tests.deploy.stage import Stage, eventually, kill
from tests.support import plain_http


def test_the_real_server_is_deployed_swapped_restarted_and_stopped(embedded_stage: Stage, executable: Path) -> None:
    """The server is deployed, reconfigured without a failed request, restarted after a kill, and stopped."""
    stage, file = embedded_stage, str(embedded_stage.file)
    first = stage.gaia("deploy", file)
    assert first.returncode == 0, first.stderr
    assert "serves at" in first.stdout
    shown = json.loads(stage.gaia("status", file, "--json").stdout)
    assert (shown["state"], shown["restarts"], shown["release"]["phase"]) == ("running", 0, "worktree")
    assert stage.health()["digest"].removeprefix("sha256:") == shown["release"]["sha256"]
    assert executable.is_file()
    assert "is already running" in stage.gaia("deploy", file).stdout

    failures: list[str] = []
    done = threading.Event()

    def send_requests() -> None:
        while not done.is_set():
            try:
                answer = plain_http.get(f"{stage.url}/health", timeout=5, trust_env=False)
            except httpx.HTTPError as error:
                failures.append(repr(error))
            else:
                failures.extend([str(answer.status_code)] * (answer.status_code != 200))

    client = threading.Thread(target=send_requests)
    client.start()
    try:
        second = stage.gaia("deploy", file, RATE_LIMIT_ENABLED="false")
    finally:
        done.set()
        client.join()
    assert second.returncode == 0, second.stderr
    assert failures == []
    swapped = json.loads(stage.gaia("status", file, "--json").stdout)
    assert swapped["pid"] != shown["pid"]

    kill(swapped["pid"])
    eventually(lambda: stage.status().restarts == 1 and stage.status().state == "running")
    assert stage.health()["status"] == "healthy"

    assert stage.gaia("stop", file).stdout == "stage: stopped\n"
    cluster = embedded.of(stage.environment)
    assert cluster is not None
    assert not cluster.running()
    assert stage.processes() == []

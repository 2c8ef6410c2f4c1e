"""The real executable on a PostgreSQL of its own, by the command line alone."""

import json
import threading
from pathlib import Path

import httpx

from gaia_checks.deploy.postgres import embedded
from tests.deploy.stage import Stage, eventually, kill


def test_the_real_server_is_deployed_swapped_restarted_and_stopped(embedded_stage: Stage, executable: Path) -> None:
    """From nothing to a served request, to another configuration without a failed one, and back to nothing."""
    stage, file = embedded_stage, str(embedded_stage.file)
    first = stage.gaia("deploy", file)
    assert first.returncode == 0, first.stderr
    assert "serves at" in first.stdout
    shown = json.loads(stage.gaia("status", file, "--json").stdout)
    assert (shown["state"], shown["restarts"], shown["release"]["phase"]) == ("running", 0, "worktree")
    assert stage.health()["digest"].removeprefix("sha256:") == shown["release"]["sha256"]
    assert executable.is_file()
    assert "is running already" in stage.gaia("deploy", file).stdout

    wrong: list[str] = []
    done = threading.Event()

    def ask() -> None:
        while not done.is_set():
            try:
                answer = httpx.get(f"{stage.url}/health", timeout=5, trust_env=False)
            except httpx.HTTPError as error:
                wrong.append(repr(error))
            else:
                wrong.extend([str(answer.status_code)] * (answer.status_code != 200))

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        second = stage.gaia("deploy", file, RATE_LIMIT_ENABLED="false")
    finally:
        done.set()
        asking.join()
    assert second.returncode == 0, second.stderr
    assert wrong == []
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

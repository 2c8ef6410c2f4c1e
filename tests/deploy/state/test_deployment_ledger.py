"""The ledger of deployments."""

from pathlib import Path

import pytest

from gaia_checks import jsonl
from gaia_checks.deploy.state import paths
from gaia_checks.deploy.state.checkpoints import Checkpoint
from gaia_checks.deploy.steps import deployment
from gaia_checks.environment import environment_file
from gaia_checks.environment.environment import Environment


def fail_in_second_step(here: Environment) -> None:
    """Run a deployment that fails in its second step."""
    failing = deployment.Deployment(here, deployment.new_id(), "deploy", "phase-1")
    deployment.start(failing, None)
    with failing.step(Checkpoint.PREPARE):
        pass
    with failing.step(Checkpoint.DEPLOY):
        raise ValueError("token canary-5e0 was refused")


def test_the_ledger_records_a_failure_without_secrets(tmp_path: Path) -> None:
    """The ledger records the start and the end of each step, or its failure with a redacted reason."""
    here = environment_file.load("local", variables={"ADMIN_TOKEN": "canary-5e0", "GAIA_HOME": str(tmp_path)})
    paths.prepare(paths.of(here))
    with pytest.raises(ValueError, match="canary"):
        fail_in_second_step(here)
    lines = list(jsonl.read(paths.of(here).ledger))
    assert [(line["step"], line["event"]) for line in lines] == [
        ("deployment", "started"), ("prepare", "started"), ("prepare", "finished"),
        ("deploy", "started"), ("deploy", "failed"),
    ]  # fmt: skip
    assert lines[4]["why"] == "token *** was refused"
    assert {line["phase"] for line in lines} == {"phase-1"}
    assert len({line["deployment"] for line in lines}) == 1

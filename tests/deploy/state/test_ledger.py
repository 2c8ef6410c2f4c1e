"""The ledger of deployments."""

from pathlib import Path

import pytest

from gaia_checks import environment, jsonl
from gaia_checks.deploy.state import paths
from gaia_checks.deploy.state.checkpoints import Checkpoint
from gaia_checks.deploy.steps import deployment


def tell(here: environment.Environment) -> None:
    """Tell a story that goes wrong in its second step."""
    told = deployment.begin(here, "deploy", "phase-1", None)
    with told.step(Checkpoint.PREPARE):
        pass
    with told.step(Checkpoint.DEPLOY):
        raise ValueError("token canary-5e0 was refused")


def test_the_ledger_tells_a_failure_without_secrets(tmp_path: Path) -> None:
    """Each step is begun and ended or failed with its reason; passwords are not written."""
    here = environment.load("local", variables={"ADMIN_TOKEN": "canary-5e0", "GAIA_HOME": str(tmp_path)})
    paths.prepare(paths.of(here))
    with pytest.raises(ValueError, match="canary"):
        tell(here)
    lines = list(jsonl.read(paths.of(here).ledger))
    assert [(line["step"], line["event"]) for line in lines] == [
        ("deployment", "begun"), ("prepare", "begun"), ("prepare", "ended"),
        ("deploy", "begun"), ("deploy", "failed"),
    ]  # fmt: skip
    assert lines[4]["why"] == "token *** was refused"
    assert {line["phase"] for line in lines} == {"phase-1"}
    assert len({line["deployment"] for line in lines}) == 1

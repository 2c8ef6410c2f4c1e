"""The ledger of deployments."""

import errno
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
import pytest
from gaia_checks import environment, journal
from gaia_checks.deploy import control, database, dump, executable, lint, lock, logfile, places, restart, story, tag
from gaia_checks.deploy.points import Point
from gaia_checks.errors import Busy, ConfigurationError, DeployError, MissingDependency


def tell(here: environment.Environment) -> None:
    """Tell a story that goes wrong in its second step."""
    told = story.begin(here, "deploy", "phase-1", None)
    with told.step(Point.PREPARE):
        pass
    with told.step(Point.DEPLOY):
        raise ValueError("token canary-5e0 was refused")


def test_the_ledger_tells_a_failure_without_secrets(tmp_path: Path) -> None:
    """Each step is begun and ended or failed with its reason; passwords are not written."""
    here = environment.load("local", variables={"ADMIN_TOKEN": "canary-5e0", "GAIA_HOME": str(tmp_path)})
    places.prepare(places.of(here))
    with pytest.raises(ValueError, match="canary"):
        tell(here)
    lines = list(journal.read(places.of(here).ledger))
    assert [(line["step"], line["event"]) for line in lines] == [
        ("deployment", "begun"), ("prepare", "begun"), ("prepare", "ended"),
        ("deploy", "begun"), ("deploy", "failed"),
    ]  # fmt: skip
    assert lines[4]["why"] == "token *** was refused"
    assert {line["phase"] for line in lines} == {"phase-1"}
    assert len({line["deployment"] for line in lines}) == 1

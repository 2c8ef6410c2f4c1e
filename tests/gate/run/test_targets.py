"""Gates of other servers: known by their address alone, or with other names."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from gaia_checks.environment import environment_file
from gaia_checks.gate.display import dry_run
from gaia_checks.judge import criteria_file
from gaia_checks.model import Target
from gaia_checks.probes import health
from tests.gate.display.test_dry_run import requests_to
from tests.gate.test_gate import DEV, LONG_LOOKS
from tests.probes.conftest import release, server
from tests.support import renamed, sshd
from tests.support.ground import ROOT, Ground, Outcome, ground

__all__ = ["release", "server"]

UNOBSERVABLE = {
    "dev.process": "run the gate on the machine where `gaia deploy ground` started the server",
    "dev.database": "export DATABASE_URL",
    "dev.migrations": "export DATABASE_URL",
    "dev.log": 'set log = "/file" or log = "ssh://user@host/file" in ground.toml',
    "prod.connections": "export DATABASE_URL",
    "qa.quotas": "run the gate on the machine where `gaia deploy ground` started the server",
    "qa.shutdown": "run the gate on the machine where `gaia deploy ground` started the server",
    "qa.fresh_install": "run the gate on the machine where `gaia deploy ground` started the server",
    "qa.outage": "run the gate on the machine where `gaia deploy ground` started the server",
    "prod.resources": "run the gate on the machine where `gaia deploy ground` started the server",
    "prod.rollback": "run the gate on the machine where `gaia deploy ground` started the server",
}
"""Criteria that are unobservable for a server known by its URL alone -> the setting that would make them observable."""


@pytest.fixture
def elsewhere(server: Target) -> Iterator[Ground]:
    """Provide a machine that has deployed nothing, and knows only the address and token of a server."""
    assert server.admin_token is not None
    with ground(database="external", ADMIN_TOKEN=server.admin_token) as made:
        yield made


def why(outcome: Outcome, criterion: str) -> str:
    """Return the reason of a criterion that did not pass."""
    return outcome.not_passed()[criterion]


def test_a_remote_server_is_judged_on_everything_observable(elsewhere: Ground, server: Target) -> None:
    """HTTP and WebSocket criteria are judged; unobservable ones name the required setting. The exit code is 8."""
    file = elsewhere.environment_file(base_url=server.base_url)
    outcome = elsewhere.gate(file, "--stage=prod", "-n", "2", "--complete")  # also on a machine too small for a load
    assert outcome.code == 8, outcome.output
    assert {name for name, state in outcome.states.items() if state == "fail"} == set(), outcome.not_passed()
    assert {"dev.health", "dev.api", "dev.websocket", "prod.monitoring"} <= passed(outcome), outcome.not_passed()
    measured = {c["id"] for c in outcome.verdict["criteria"] if all(check["n"] > 0 for check in c["checks"])}
    assert measured >= LONG_LOOKS - set(UNOBSERVABLE), outcome.not_passed()
    assert "(RSS)" in (outcome.folder / "measurements.jsonl").read_text()
    for criterion, setting in UNOBSERVABLE.items():
        assert re.search(rf"cannot be observed from here: .*{re.escape(setting)}", why(outcome, criterion))
        assert setting in outcome.output


def test_more_settings_make_more_observable(elsewhere: Ground, server: Target, tmp_path: Path) -> None:
    """With the log through ssh and the database by its URL only the deployment's own facts stay unobservable."""
    assert server.log is not None
    assert server.database_url is not None
    with sshd.running(tmp_path) as machine:
        log = f'log = "{machine.log(Path(server.log.path))}"\n'
        file = elsewhere.environment_file(base_url=server.base_url, keys=log)
        before = requests_to(server)
        outcome = elsewhere.gate(file, PATH=machine.path, DATABASE_URL=server.database_url)
    assert outcome.code == 8, outcome.output
    assert {f"dev.{name}" for name in DEV} - passed(outcome) == {"dev.process", "dev.migrations"}
    assert "which migrations the release has cannot be observed" in why(outcome, "dev.migrations")
    assert '"msg"' in (outcome.folder / "server.log").read_text()
    assert f'log = "{machine.log(Path(server.log.path))}"' in (outcome.folder / "environment.toml").read_text()
    more = requests_to(server) - before + 2 - planned_requests(file)  # the gate and the API's look read /metrics
    assert more >= 0
    assert more % health.ROUND == 0  # a pool that is full takes further rounds


def planned_requests(file: Path) -> int:
    """Return the requests that a dry run plans for this stage, except those for the unknown process."""
    where = environment_file.load(str(file))
    loaded = criteria_file.load(overrides=where.looks)
    rows = dry_run.plan(loaded.for_stage(where.stage), loaded.looks, where.names)
    return sum(int(row.requests) for row in rows if row.look != "process")


# other names -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def place() -> Iterator[Ground]:
    """Deploy the real server under other names."""
    with ground() as made:
        made.deploy(renamed.write(made.folder, ROOT), made.environment_file(tables=renamed.table()))
        yield made


def test_with_mapped_names_a_renamed_server_is_gated_as_any(place: Ground) -> None:
    """Probes, recorders, the load and the gate's temporary rules use its names."""
    file = place.environment_file(base_url=place.url, tables=renamed.table())
    selected = ("-k", "not dashboard")  # whose scripts know the old names
    outcome = place.gate(file, "--stage=prod", "-n", "2", "--complete", *selected)  # also on a machine too small for it
    assert outcome.code == 8, outcome.output
    assert passed(outcome) >= {"qa.quotas", "prod.monitoring", *(f"dev.{name}" for name in DEV)}, outcome.not_passed()
    assert "fail" not in outcome.states.values(), outcome.not_passed()
    measured = {c["id"] for c in outcome.verdict["criteria"] if all(check["n"] > 0 for check in c["checks"])}
    assert measured >= LONG_LOOKS, outcome.not_passed()
    assert '[contract.paths]\n"/health" = "/healthz"' in (outcome.folder / "environment.toml").read_text()


def test_without_mapped_names_a_renamed_server_passes_nothing(place: Ground) -> None:
    """Its responses do not match the contract, and the reason says where to map names."""
    outcome = place.gate(place.environment_file(base_url=place.url), "--complete")
    assert outcome.code == 1, outcome.output
    assert not passed(outcome) & {"dev.health", "dev.api", "dev.websocket"}
    assert "[contract.paths]" in why(outcome, "dev.health")


def test_with_half_of_the_names_mapped_a_renamed_server_passes_nothing(place: Ground) -> None:
    """Fields must be mapped as well as paths."""
    half = renamed.table().partition("[contract.fields]")[0]
    outcome = place.gate(place.environment_file(base_url=place.url, tables=half))
    assert outcome.code in (1, 8), outcome.output
    assert not passed(outcome) & {"dev.health", "dev.api", "dev.websocket"}


def passed(outcome: Outcome) -> set[str]:
    """Return the criteria that passed."""
    return {criterion for criterion, state in outcome.states.items() if state == "pass"}

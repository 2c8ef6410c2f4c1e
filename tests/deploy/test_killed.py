"""SIGKILL to harness or supervisor at any checkpoint: deployments and rollbacks stay all or nothing."""

from collections.abc import Iterator

import pytest

from gaia_checks import jsonl
from gaia_checks.deploy.state import checkpoints, paths
from gaia_checks.deploy.state.checkpoints import Checkpoint, Event
from tests.deploy.killing import KillStage, kill_stage, killed

VICTIM = pytest.mark.parametrize(
    "victim", [pytest.param(name, marks=pytest.mark.xdist_group(name)) for name in ("harness", "supervisor")]
)


@pytest.fixture(scope="module")
def with_handover(postgres: str) -> Iterator[KillStage]:
    """A server that takes its sockets from the supervisor."""
    with kill_stage(postgres, handover=True) as made:
        yield made


@pytest.fixture(scope="module")
def without_handover(postgres: str) -> Iterator[KillStage]:
    """A server that binds its port itself."""
    with kill_stage(postgres, handover=False) as made:
        yield made


@VICTIM
@pytest.mark.parametrize(("point", "event"), checkpoints.DEPLOY)
def test_a_deployment_is_all_or_nothing(with_handover: KillStage, victim: str, point: Checkpoint, event: Event) -> None:
    """A deployment with hand-over, killed at any checkpoint, is finished or undone."""
    killed(with_handover, "deploy 2", "1", point, event, victim)


@VICTIM
@pytest.mark.parametrize(("point", "event"), checkpoints.ROLLBACK)
def test_a_rollback_is_all_or_nothing(with_handover: KillStage, victim: str, point: Checkpoint, event: Event) -> None:
    """A rollback with hand-over, killed at any checkpoint, is finished or undone; the schema stays."""
    killed(with_handover, "rollback", "2", point, event, victim)


@VICTIM
@pytest.mark.parametrize(("point", "event"), checkpoints.SCHEMA)
def test_a_rollback_of_the_schema_is_all_or_nothing(
    with_handover: KillStage, victim: str, point: Checkpoint, event: Event
) -> None:
    """A rollback with --database, killed during the downgrade, ends with the older schema."""
    with_handover.deploy_with_its_migration("2")
    killed(with_handover, "rollback database", "2", point, event, victim)
    assert not with_handover.has_extras()


@VICTIM
@pytest.mark.parametrize(("point", "event"), checkpoints.STOP_AND_START)
def test_a_stop_and_start_is_all_or_nothing(
    without_handover: KillStage, victim: str, point: Checkpoint, event: Event
) -> None:
    """A deployment without hand-over, killed at any checkpoint, is finished or undone; the ledger names the outage."""
    killed(without_handover, "deploy 2", "1", point, event, victim)
    *_, closing = jsonl.read(paths.of(without_handover.stage.environment).ledger)
    assert closing["step"] == "deployment"
    stopped = without_handover.reached(Checkpoint.MAKE_ROOM, Event.STARTED)
    assert stopped is (closing["outage_ms"] > 0)

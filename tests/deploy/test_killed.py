"""SIGKILL to the harness and to the supervisor, at every journaled point there is: it stays all or nothing."""

from collections.abc import Iterator

import pytest

from gaia_checks.deploy.state import checkpoints
from gaia_checks.deploy.state.checkpoints import Checkpoint, Event
from tests.deploy.killing import KillGround, kill_ground, killed

VICTIM = pytest.mark.parametrize(
    "victim", [pytest.param(name, marks=pytest.mark.xdist_group(name)) for name in ("harness", "supervisor")]
)


@pytest.fixture(scope="module")
def handed(postgres: str) -> Iterator[KillGround]:
    """A server that takes its sockets."""
    with kill_ground(postgres, handover=True) as ground:
        yield ground


@pytest.fixture(scope="module")
def alone(postgres: str) -> Iterator[KillGround]:
    """A server that binds its port itself."""
    with kill_ground(postgres, handover=False) as ground:
        yield ground


@VICTIM
@pytest.mark.parametrize(("point", "event"), checkpoints.DEPLOY)
def test_a_deployment_is_all_or_nothing(handed: KillGround, victim: str, point: Checkpoint, event: Event) -> None:
    """With hand-over."""
    killed(handed, "deploy 2", "1", point, event, victim)


@VICTIM
@pytest.mark.parametrize(("point", "event"), checkpoints.ROLLBACK)
def test_a_rollback_is_all_or_nothing(handed: KillGround, victim: str, point: Checkpoint, event: Event) -> None:
    """With hand-over; the schema stays."""
    killed(handed, "rollback", "2", point, event, victim)


@VICTIM
@pytest.mark.parametrize(("point", "event"), checkpoints.SCHEMA)
def test_a_rollback_of_the_schema_is_all_or_nothing(
    handed: KillGround, victim: str, point: Checkpoint, event: Event
) -> None:
    """With hand-over; the schema is taken back once the old release serves."""
    handed.deploy_with_its_migration("2")
    killed(handed, "rollback database", "2", point, event, victim)
    assert not handed.has_extras()


@VICTIM
@pytest.mark.parametrize(("point", "event"), checkpoints.STOP_AND_START)
def test_a_stop_and_start_is_all_or_nothing(alone: KillGround, victim: str, point: Checkpoint, event: Event) -> None:
    """Where the old server has to make room first."""
    killed(alone, "deploy 2", "1", point, event, victim)

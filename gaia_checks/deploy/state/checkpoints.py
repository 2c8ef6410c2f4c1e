"""Every point of a deployment and of a rollback that is written down before and after it is acted upon.

A process may be killed at any of them; `recover` finishes or undoes what was begun.
"""

from enum import StrEnum


class Checkpoint(StrEnum):
    """One thing that is done. Steps of the story first, what they consist of behind them."""

    VALIDATE = "validate"
    ARTIFACT = "validate.artifact"  # the release's folder is made
    PREPARE = "prepare"
    SUPERVISOR = "prepare.supervisor"  # a supervisor runs and has adopted what an earlier one left
    DATABASE = "prepare.database"  # the database exists
    LINT = "prepare.lint"  # squawk has nothing serious to say
    REHEARSE = "prepare.rehearse"  # the running release holds on the new schema, in a scratch database
    DUMP = "prepare.dump"  # the owned tables are on the disk
    MIGRATE = "prepare.migrate"
    DEPLOY = "deploy"
    CANDIDATE = "deploy.candidate"  # the release runs on a free loopback port
    CANDIDATE_VERIFY = "deploy.candidate_verify"
    CANDIDATE_END = "deploy.candidate_end"
    MAKE_ROOM = "deploy.make_room"  # stop-and-start alone: the old server ends first
    START = "deploy.start"
    CHECK = "deploy.check"  # it is verified where only we see it
    TAKE_OVER = "deploy.take_over"
    RETIRE = "deploy.retire"  # the old server is gone
    VERIFY = "verify"
    UNDO_SCHEMA = "verify.undo_schema"  # a rollback with --database alone
    RECORD = "record"
    LINK = "record.link"  # `current` and `previous`
    # written by the supervisor itself, within CANDIDATE, START, TAKE_OVER, and MAKE_ROOM or RETIRE
    CANDIDATE_SPAWNED = "supervisor.candidate_spawned"  # the process exists, nobody has been told
    SPAWNED = "supervisor.spawned"  # the same of the server that is to take over
    NOTED = "supervisor.noted"  # the record names the new server, nobody has been told
    OLD_ENDED = "supervisor.old_ended"


class Event(StrEnum):
    """Where at a point."""

    BEGUN = "begun"
    ENDED = "ended"


_ONCE = frozenset({Checkpoint.CANDIDATE_SPAWNED, Checkpoint.SPAWNED, Checkpoint.NOTED, Checkpoint.OLD_ENDED})
_SWAP = (
    Checkpoint.DEPLOY,
    Checkpoint.CANDIDATE,
    Checkpoint.CANDIDATE_VERIFY,
    Checkpoint.CANDIDATE_END,
    Checkpoint.START,
    Checkpoint.CHECK,
    Checkpoint.TAKE_OVER,
    Checkpoint.RETIRE,
    Checkpoint.CANDIDATE_SPAWNED,
    Checkpoint.SPAWNED,
    Checkpoint.NOTED,
    Checkpoint.OLD_ENDED,
    Checkpoint.VERIFY,
)
_PREPARE = (
    Checkpoint.PREPARE,
    Checkpoint.SUPERVISOR,
    Checkpoint.DATABASE,
    Checkpoint.LINT,
    Checkpoint.REHEARSE,
    Checkpoint.DUMP,
    Checkpoint.MIGRATE,
)


def _both(*points: Checkpoint) -> tuple[tuple[Checkpoint, Event], ...]:
    return tuple((point, event) for point in points for event in Event if not (point in _ONCE and event == Event.BEGUN))


DEPLOY = _both(Checkpoint.VALIDATE, Checkpoint.ARTIFACT, *_PREPARE, *_SWAP, Checkpoint.RECORD, Checkpoint.LINK)
"""What a deployment with hand-over and a pending migration passes."""

ROLLBACK = _both(Checkpoint.VALIDATE, Checkpoint.SUPERVISOR, *_SWAP, Checkpoint.RECORD, Checkpoint.LINK)
"""What a rollback passes."""

SCHEMA = _both(Checkpoint.UNDO_SCHEMA)
"""What it passes beside them with --database."""

STOP_AND_START = _both(
    Checkpoint.MAKE_ROOM,
    Checkpoint.START,
    Checkpoint.CHECK,
    Checkpoint.TAKE_OVER,
    Checkpoint.SPAWNED,
    Checkpoint.OLD_ENDED,
)
"""Where a server that takes no sockets is swapped otherwise."""

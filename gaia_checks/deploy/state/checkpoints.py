"""The checkpoints of a deployment and a rollback: each is journaled before and after its action.

A process may be killed at any of them; `recover` finishes or undoes the started action.
"""

from enum import StrEnum


class Checkpoint(StrEnum):
    """One action of a deployment: `step`, or `step.part` for a part of a step."""

    VALIDATE = "validate"
    ARTIFACT = "validate.artifact"  # the release folder is created
    PREPARE = "prepare"
    SUPERVISOR = "prepare.supervisor"  # a supervisor runs and has adopted its predecessor's server
    DATABASE = "prepare.database"  # the database exists
    LINT = "prepare.lint"  # squawk reports no blocking finding
    REHEARSE = "prepare.rehearse"  # the running release works on the new schema, in a scratch database
    DUMP = "prepare.dump"  # the owned tables are on disk
    MIGRATE = "prepare.migrate"
    DEPLOY = "deploy"
    CANDIDATE = "deploy.candidate"  # the release runs on a free loopback port
    CANDIDATE_VERIFY = "deploy.candidate_verify"
    CANDIDATE_END = "deploy.candidate_end"
    MAKE_ROOM = "deploy.make_room"  # stop-and-start only: the old server stops first
    START = "deploy.start"
    CHECK = "deploy.check"  # it is verified on a private socket
    TAKE_OVER = "deploy.take_over"
    RETIRE = "deploy.retire"  # the old server has stopped
    VERIFY = "verify"
    UNDO_SCHEMA = "verify.undo_schema"  # only in a rollback with --database
    RECORD = "record"
    LINK = "record.link"  # the links `current` and `previous`
    # written by the supervisor itself, within CANDIDATE, START, TAKE_OVER, and MAKE_ROOM or RETIRE
    CANDIDATE_SPAWNED = "supervisor.candidate_spawned"  # the process exists, not yet reported
    SPAWNED = "supervisor.spawned"  # the same for the server that will take over
    NOTED = "supervisor.noted"  # the state file names the new server, not yet reported
    OLD_ENDED = "supervisor.old_ended"


class Event(StrEnum):
    """Whether a checkpoint is started or finished."""

    STARTED = "started"
    FINISHED = "finished"


_FINISHED_ONLY = frozenset({Checkpoint.CANDIDATE_SPAWNED, Checkpoint.SPAWNED, Checkpoint.NOTED, Checkpoint.OLD_ENDED})
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


def _started_and_finished(*checkpoints: Checkpoint) -> tuple[tuple[Checkpoint, Event], ...]:
    return tuple(
        (each, event)
        for each in checkpoints
        for event in Event
        if not (each in _FINISHED_ONLY and event == Event.STARTED)
    )


DEPLOY = _started_and_finished(
    Checkpoint.VALIDATE, Checkpoint.ARTIFACT, *_PREPARE, *_SWAP, Checkpoint.RECORD, Checkpoint.LINK
)
"""Checkpoints of a deployment with socket hand-over and a pending migration."""

ROLLBACK = _started_and_finished(Checkpoint.VALIDATE, Checkpoint.SUPERVISOR, *_SWAP, Checkpoint.RECORD, Checkpoint.LINK)
"""Checkpoints of a rollback."""

SCHEMA = _started_and_finished(Checkpoint.UNDO_SCHEMA)
"""Additional checkpoints of a rollback with --database."""

STOP_AND_START = _started_and_finished(
    Checkpoint.MAKE_ROOM,
    Checkpoint.START,
    Checkpoint.CHECK,
    Checkpoint.TAKE_OVER,
    Checkpoint.SPAWNED,
    Checkpoint.OLD_ENDED,
)
"""Checkpoints that differ for a server that accepts no passed sockets."""

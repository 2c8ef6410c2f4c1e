"""Every point of a deployment and of a rollback that is written down before and after it is acted upon.

A process may be killed at any of them; `recover` finishes or undoes what was begun.
"""

from enum import StrEnum


class Point(StrEnum):
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


_ONCE = frozenset({Point.CANDIDATE_SPAWNED, Point.SPAWNED, Point.NOTED, Point.OLD_ENDED})
_SWAP = (
    *(Point.DEPLOY, Point.CANDIDATE, Point.CANDIDATE_VERIFY, Point.CANDIDATE_END, Point.START, Point.CHECK),
    *(Point.TAKE_OVER, Point.RETIRE, Point.CANDIDATE_SPAWNED, Point.SPAWNED, Point.NOTED, Point.OLD_ENDED),
    Point.VERIFY,
)
_PREPARE = (*(Point.PREPARE, Point.SUPERVISOR, Point.DATABASE, Point.LINT, Point.REHEARSE, Point.DUMP, Point.MIGRATE),)


def _both(*points: Point) -> tuple[tuple[Point, Event], ...]:
    return tuple((point, event) for point in points for event in Event if not (point in _ONCE and event == Event.BEGUN))


DEPLOY = _both(Point.VALIDATE, Point.ARTIFACT, *_PREPARE, *_SWAP, Point.RECORD, Point.LINK)
"""What a deployment with hand-over and a pending migration passes."""

ROLLBACK = _both(Point.VALIDATE, Point.SUPERVISOR, *_SWAP, Point.RECORD, Point.LINK)
"""What a rollback passes."""

SCHEMA = _both(Point.UNDO_SCHEMA)
"""What it passes beside them with --database."""

STOP_AND_START = _both(Point.MAKE_ROOM, Point.START, Point.CHECK, Point.TAKE_OVER, Point.SPAWNED, Point.OLD_ENDED)
"""Where a server that takes no sockets is swapped otherwise."""

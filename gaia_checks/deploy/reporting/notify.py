"""Notify people of a deployment's outcome by Apprise. A failed notification is recorded and breaks nothing."""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from gaia_checks import jsonl
from gaia_checks.deploy.state import deployment_ledger, paths
from gaia_checks.deploy.supervisor import log_line
from gaia_checks.environment.environment import Environment
from gaia_checks.errors import Busy, DeployError, EvidenceError
from gaia_checks.model import timestamp

LOG_LINES = 20
_LOG_BYTES = 16_384


@dataclass(frozen=True, slots=True)
class Message:
    """One notification."""

    title: str
    body: str
    good: bool


def succeeded(environment: str, phase: str, url: str, done: str = "deployed") -> Message:
    """Return the message that a release serves (pure)."""
    return Message(f"{environment}: {phase} {done}", f"{phase} serves at {url}", good=True)


def failed(environment: str, phase: str, step: str, cause: str, log: Sequence[str], whose: str = "server") -> Message:
    """Return the message of a failure: step, cause, and the end of the log of `whose` (pure)."""
    excerpt = (f"The {whose}'s log ends:", *log) if log else (f"The {whose}'s log is empty.",)
    return Message(
        f"{environment}: {phase} failed", "\n".join((f"Step: {step}", f"Cause: {cause}", "", *excerpt)), good=False
    )


def send(environment: Environment, phase: str, message: Message) -> bool:
    """Send `message`, without secrets, to every URL of the environment; return whether all accepted it.

    Never raises: the ledger records why a message was not sent. Without `alerts` nothing is sent.
    """
    if environment.alerts is None:
        return False
    why = _send(environment, message) if environment.alert_urls else f"{environment.alerts} is not set"
    why = environment.redact(why) if why else None
    with contextlib.suppress(DeployError):  # a full disk causes more urgent errors than this one
        deployment_ledger.note(
            environment, environment.name, phase, "alert", "failed" if why else "sent", title=message.title, why=why
        )
    return why is None


@contextlib.contextmanager
def notifying(environment: Environment, phase: str, done: str = "deployed") -> Iterator[None]:
    """Notify people of the block's outcome; `done` is the verb of a success. Errors propagate.

    Busy sends nothing, because nothing was attempted.
    """
    since = jsonl.now()
    try:
        yield
    except Busy:
        raise
    except Exception as error:
        step, (whose, log) = _failed_step(environment, phase, since), _log_end(environment, since)
        send(environment, phase, failed(environment.name, phase, step, str(error) or type(error).__name__, log, whose))
        raise
    send(environment, phase, succeeded(environment.name, phase, environment.local_url, done))


def _send(environment: Environment, message: Message) -> str | None:
    """Return why the message was not sent; None when it was."""
    import apprise  # noqa: PLC0415 - the import takes 0.1 s, so only a notification pays for it

    kind = apprise.NotifyType.SUCCESS if message.good else apprise.NotifyType.FAILURE
    sender = apprise.Apprise()
    try:
        capture = apprise.LogCapture(level=apprise.logging.WARNING, fmt="%(message)s")  # type: ignore[no-untyped-call]
        with capture as warnings:
            parsed = sender.add(list(environment.alert_urls))
            accepted = sender.notify(
                title=environment.redact(message.title), body=environment.redact(message.body), notify_type=kind
            )
        if accepted and parsed:
            return None
        return " ".join(warnings.getvalue().split()) or "not accepted"
    except Exception as error:  # noqa: BLE001 - Apprise's services raise anything; a notification must not fail a deployment
        return f"{type(error).__name__}: {error}"


def _failed_step(environment: Environment, phase: str, since: str) -> str:
    """Return the failed step from the ledger; a failure before its first record is in "validate".

    A rollback is matched by its kind, because it may determine its phase itself.
    """
    try:
        failures = [
            str(record["step"])
            for record in jsonl.read(paths.of(environment).ledger)
            if record["at"] >= since
            and (record["environment"], record["event"]) == (environment.name, "failed")
            and (record["phase"] == phase or record.get("kind") == "rollback")
            and record["step"] != "deployment"
        ]
    except (EvidenceError, OSError):
        return "unknown"
    return failures[-1] if failures else "validate"


def _log_end(environment: Environment, since: str) -> tuple[str, list[str]]:
    """Return whose log it is and its last lines: the candidate's, if one was started since, else the server's."""
    here = paths.of(environment)
    with contextlib.suppress(OSError):
        changed = datetime.fromtimestamp(here.candidate_log.stat().st_mtime, UTC)
        if timestamp(changed) >= since:
            return "candidate", _last_lines(here.candidate_log)
    return "server", _last_lines(here.server_log)


def _last_lines(path: Path) -> list[str]:
    try:
        with path.open("rb") as log:
            log.seek(max(0, log.seek(0, 2) - _LOG_BYTES))
            return [
                log_line.in_one_line(line) for line in log.read().decode(errors="replace").splitlines()[-LOG_LINES:]
            ]
    except OSError:
        return []

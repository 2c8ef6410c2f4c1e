"""Tell people how a deployment went, by Apprise. A message that cannot be sent breaks nothing, and is recorded."""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from gaia_checks import jsonl
from gaia_checks.deploy.state import ledger as deployment_ledger
from gaia_checks.deploy.state import paths
from gaia_checks.environment import Environment
from gaia_checks.errors import Busy, EvidenceError

LOG_LINES = 20
_LOG_BYTES = 16_384


@dataclass(frozen=True, slots=True)
class Message:
    """What people are told."""

    title: str
    body: str
    good: bool


def succeeded(environment: str, phase: str, url: str, done: str = "deployed") -> Message:
    """Say that a release serves (pure)."""
    return Message(f"{environment}: {phase} {done}", f"{phase} serves at {url}", good=True)


def failed(environment: str, phase: str, step: str, cause: str, log: Sequence[str]) -> Message:
    """Say which step failed, why, and what the server's log said last (pure)."""
    said = ("The server's log ends:", *log) if log else ("The server's log says nothing.",)
    return Message(
        f"{environment}: {phase} failed", "\n".join((f"Step: {step}", f"Cause: {cause}", "", *said)), good=False
    )


def tell(environment: Environment, phase: str, message: Message) -> bool:
    """Send `message`, without secrets, to every URL of the environment; return whether all of them took it.

    Nothing is raised: what kept it from being sent stands in the ledger. Without `alerts` nothing is sent.
    """
    if environment.alerts is None:
        return False
    why = _send(environment, message) if environment.alert_urls else f"{environment.alerts} is not set"
    why = environment.redact(why) if why else None
    ledger = paths.of(environment).ledger
    with contextlib.suppress(OSError):  # a full disk: then there is more to do than to read about this
        deployment_ledger.note(
            ledger, environment.name, phase, "alert", "failed" if why else "sent", title=message.title, why=why
        )
    return why is None


@contextlib.contextmanager
def told(environment: Environment, phase: str, done: str = "deployed") -> Iterator[None]:
    """Tell how the block went, after which `phase` is `done`. Its error goes on its way.

    That another command has its turn tells nobody anything: nothing was tried.
    """
    since = jsonl.now()
    try:
        yield
    except Busy:
        raise
    except Exception as error:
        step, log = _failed_step(environment, phase, since), _log_end(environment)
        tell(environment, phase, failed(environment.name, phase, step, str(error) or type(error).__name__, log))
        raise
    tell(environment, phase, succeeded(environment.name, phase, environment.local_url, done))


def _send(environment: Environment, message: Message) -> str | None:
    """Return why it was not sent, None when it was."""
    import apprise  # noqa: PLC0415 - 0.1 s that only a told deployment should cost

    kind = apprise.NotifyType.SUCCESS if message.good else apprise.NotifyType.FAILURE
    sender = apprise.Apprise()
    try:
        capture = apprise.LogCapture(level=apprise.logging.WARNING, fmt="%(message)s")  # type: ignore[no-untyped-call]
        with capture as complaints:
            understood = sender.add(list(environment.alert_urls))
            taken = sender.notify(
                title=environment.redact(message.title), body=environment.redact(message.body), notify_type=kind
            )
        if taken and understood:
            return None
        return " ".join(complaints.getvalue().split()) or "it was not taken"
    except Exception as error:  # noqa: BLE001 - one of a hundred services' code; no message is worth a deployment
        return f"{type(error).__name__}: {error}"


def _failed_step(environment: Environment, phase: str, since: str) -> str:
    """Return the step that failed, as the ledger has it. What fails before the ledger is opened is the validation.

    A rollback is found by its kind: which phase it goes back to may be its own finding.
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


def _log_end(environment: Environment) -> list[str]:
    try:
        with paths.of(environment).server_log.open("rb") as log:
            log.seek(max(0, log.seek(0, 2) - _LOG_BYTES))
            return log.read().decode(errors="replace").splitlines()[-LOG_LINES:]
    except OSError:
        return []

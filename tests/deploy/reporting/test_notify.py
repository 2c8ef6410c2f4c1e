"""Notifications reach a real HTTP server without secrets; a failed one breaks nothing."""

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from gaia_checks import jsonl
from gaia_checks.deploy.reporting import notify
from gaia_checks.deploy.state import paths
from gaia_checks.deploy.state.checkpoints import Checkpoint
from gaia_checks.deploy.steps import deployment
from gaia_checks.environment import environment_file
from gaia_checks.environment.environment import Environment
from gaia_checks.errors import Busy, NotReady
from tests.deploy.stage import Stage
from tests.support.forge import forge

# one of Apprise's services imports a module that Python 3.13 removed
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")

TOKEN = "canary-4d7"


@dataclass
class Inbox:
    """The received messages."""

    url: str
    messages: list[dict[str, str]] = field(default_factory=list)


@pytest.fixture
def inbox() -> Iterator[Inbox]:
    """An HTTP server that records the JSON that Apprise posts."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.messages.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Log nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        received = Inbox(f"json://127.0.0.1:{server.server_port}/{TOKEN}")
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield received
        finally:
            server.shutdown()
            thread.join()


def environment(folder: Path, **variables: str) -> Environment:
    """An environment whose `alerts` names the variable TELL."""
    file = folder / "there.toml"
    file.write_text('[environment]\nstage = "qa"\ndatabase = "external"\nhost = "127.0.0.1"\nalerts = "TELL"\n')
    folders = {"GAIA_HOME": str(folder / "home"), "GAIA_LOG_DIR": str(folder / "log")}
    return environment_file.load(str(file), variables={**folders, **variables})


def recorded(there: Environment) -> list[tuple[str, str | None]]:
    """The ledger's records of alerts as (event, why)."""
    lines = jsonl.read(paths.of(there).ledger)
    return [(line["event"], line.get("why")) for line in lines if line["step"] == "alert"]


def test_messages_name_url_or_step_and_cause() -> None:
    """A success names the URL; a failure names step and cause, and ends with the log."""
    assert notify.succeeded("qa", "phase-1", "http://127.0.0.1:8080") == notify.Message(
        "qa: phase-1 deployed", "phase-1 serves at http://127.0.0.1:8080", good=True
    )
    assert notify.failed("qa", "phase-1", "verify", "health: no", ["one", "two"]) == notify.Message(
        "qa: phase-1 failed", "Step: verify\nCause: health: no\n\nThe server's log ends:\none\ntwo", good=False
    )


def test_a_failed_deployment_is_notified_with_step_cause_and_log(stage: Stage, inbox: Inbox) -> None:
    """`gaia deploy` notifies of a real crash, with the secrets in the log excerpt redacted."""
    stage.file.write_text(stage.file.read_text().replace("[environment.", 'alerts = "TELL"\n[environment.'))
    origin = forge(stage.folder / "forge")
    origin.fake("1", behaviour="crash")
    origin.tag("deploy/stage/phase-1")
    secrets = {"TELL": inbox.url, "ADMIN_TOKEN": "configuration"}  # a word of the server's last log line
    done = stage.gaia("deploy", str(stage.file), "phase-1", GAIA_GIT_DIR=str(origin.bare), **secrets)
    assert done.returncode == 1
    [message] = inbox.messages
    assert message["title"] == "stage: phase-1 failed"
    assert message["type"] == "failure"
    step, cause, *log = message["message"].splitlines()
    assert step == "Step: deploy"
    assert cause.startswith("Cause: ")
    assert "the *** is not to my liking" in cause
    assert (log[1], log[-1]) == ("The candidate's log ends:", "the *** is not to my liking")
    assert recorded(stage.environment) == [("sent", None)]
    assert not [path for path in paths.of(stage.environment).ledger.parent.glob("*.log") if TOKEN in path.read_text()]


def test_a_rollback_is_notified(stage: Stage, inbox: Inbox) -> None:
    """`gaia rollback` notifies that the previous release is back."""
    stage.file.write_text(stage.file.read_text().replace("[environment.", 'alerts = "TELL"\n[environment.'))
    for version in ("1", "2"):
        stage.deploy(version)
    done = stage.gaia("rollback", str(stage.file), TELL=inbox.url)
    assert done.returncode == 0, done.stderr
    assert [message["title"] for message in inbox.messages] == ["stage: the previous release is back"]


def test_a_successful_deployment_is_notified(tmp_path: Path, inbox: Inbox) -> None:
    """Every URL in the space-separated variable receives the message."""
    there = environment(tmp_path, TELL=f"{inbox.url} {inbox.url}/second", PORT="8123")
    with notify.notifying(there, "phase-1"):
        pass
    expected = ("there: phase-1 deployed", "phase-1 serves at http://127.0.0.1:8123", "success")
    assert [(m["title"], m["message"], m["type"]) for m in inbox.messages] == [expected, expected]
    assert recorded(there) == [("sent", None)]


def test_an_earlier_failure_in_the_ledger_is_ignored(tmp_path: Path, inbox: Inbox) -> None:
    """A failure before the first record is reported as "validate", whatever earlier records say."""
    there = environment(tmp_path, TELL=inbox.url)
    ledger = paths.of(there).ledger
    ledger.parent.mkdir(parents=True)
    old = {"at": "2026-01-01T00:00:00.000Z", "environment": "there", "phase": "phase-1", "step": "deploy"}
    jsonl.append(ledger, {**old, "event": "failed"})
    with pytest.raises(NotReady), notify.notifying(there, "phase-1"):
        raise NotReady("no")
    assert inbox.messages[0]["message"] == "Step: validate\nCause: no\n\nThe server's log is empty."


def test_the_failed_step_of_a_rollback_is_notified(tmp_path: Path, inbox: Inbox) -> None:
    """The step is found although the ledger names the phase and the command only "the previous release"."""
    there = environment(tmp_path, TELL=inbox.url)
    paths.prepare(paths.of(there))
    with pytest.raises(NotReady), notify.notifying(there, "the previous release", done="is back"):
        fail_rollback(there)
    assert inbox.messages[0]["message"].startswith("Step: deploy\nCause: no\n")


def fail_rollback(there: Environment) -> None:
    """Start a rollback whose server does not become ready."""
    rollback = deployment.Deployment(there, deployment.new_id(), "rollback", "phase-1")
    deployment.start(rollback, None)
    with rollback.step(Checkpoint.DEPLOY):
        raise NotReady("no")


def test_a_busy_environment_sends_no_notification(tmp_path: Path, inbox: Inbox) -> None:
    """Busy is neither sent nor recorded: nothing was attempted, and the watch retries every few seconds."""
    there = environment(tmp_path, TELL=inbox.url)
    with pytest.raises(Busy), notify.notifying(there, "phase-1"):
        raise Busy("there: busy")
    assert inbox.messages == []
    assert recorded(there) == []


def test_an_unwritable_ledger_does_not_prevent_a_notification(tmp_path: Path, inbox: Inbox) -> None:
    """Without a writable ledger the message is sent, and the deployment's own error propagates."""
    there = environment(tmp_path, TELL=inbox.url)
    (tmp_path / "log").write_text("a file instead of a folder")
    with pytest.raises(NotReady), notify.notifying(there, "phase-1"):
        raise NotReady("no")
    assert [message["title"] for message in inbox.messages] == ["there: phase-1 failed"]


@pytest.mark.parametrize(
    ("urls", "why"),
    [
        (f"json://127.0.0.1:1/{TOKEN}?rto=1&cto=1", "error occurred sending JSON notification"),
        (f"nonsense://{TOKEN}", "Unparseable URL nonsense:"),
        ("", "TELL is not set"),
    ],
)
def test_a_message_that_cannot_be_sent_is_recorded_and_breaks_nothing(tmp_path: Path, urls: str, why: str) -> None:
    """The deployment continues; the ledger records the reason, without the URL's token."""
    there = environment(tmp_path, TELL=urls)
    with notify.notifying(there, "phase-1"):
        pass
    [(event, reason)] = recorded(there)
    assert event == "failed"
    assert why in str(reason)
    assert TOKEN not in paths.of(there).ledger.read_text()


def test_without_alerts_nothing_is_sent(tmp_path: Path) -> None:
    """An environment without the key `alerts` sends nothing and records nothing."""
    there = environment_file.load("qa", variables={"GAIA_LOG_DIR": str(tmp_path)})
    assert not notify.send(there, "phase-1", notify.succeeded("qa", "phase-1", ""))
    assert not list(tmp_path.iterdir())

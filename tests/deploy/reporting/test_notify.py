"""Telling people: to a real HTTP server, without secrets; and nothing breaks when nobody listens."""

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from gaia_checks import environment as environments
from gaia_checks import jsonl
from gaia_checks.deploy.reporting import notify
from gaia_checks.deploy.state import paths
from gaia_checks.deploy.state.checkpoints import Checkpoint
from gaia_checks.deploy.steps import deployment
from gaia_checks.environment import Environment
from gaia_checks.errors import Busy, NotReady
from tests.deploy.stage import Stage
from tests.support.forge import forge

# one of Apprise's hundred services imports what Python 3.13 no longer has
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")

TOKEN = "canary-4d7"


@dataclass
class Inbox:
    """Where messages arrive."""

    url: str
    messages: list[dict[str, str]] = field(default_factory=list)


@pytest.fixture
def inbox() -> Iterator[Inbox]:
    """A server that takes what Apprise sends as JSON."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            found.messages.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        found = Inbox(f"json://127.0.0.1:{server.server_port}/{TOKEN}")
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield found
        finally:
            server.shutdown()
            thread.join()


def environment(folder: Path, **variables: str) -> Environment:
    """An environment that names the variable of its alerts."""
    file = folder / "there.toml"
    file.write_text('[environment]\nstage = "qa"\ndatabase = "external"\nhost = "127.0.0.1"\nalerts = "TELL"\n')
    places_of = {"GAIA_HOME": str(folder / "home"), "GAIA_LOG_DIR": str(folder / "log")}
    return environments.load(str(file), variables={**places_of, **variables})


def recorded(there: Environment) -> list[tuple[str, str | None]]:
    """The ledger's records of alerts as (event, why)."""
    lines = jsonl.read(paths.of(there).ledger)
    return [(line["event"], line.get("why")) for line in lines if line["step"] == "alert"]


def test_what_people_are_told_is_short_and_complete() -> None:
    """Success says where it serves; failure says step and cause, and ends with the log."""
    assert notify.succeeded("qa", "phase-1", "http://127.0.0.1:8080") == notify.Message(
        "qa: phase-1 deployed", "phase-1 serves at http://127.0.0.1:8080", good=True
    )
    assert notify.failed("qa", "phase-1", "verify", "health: no", ["one", "two"]) == notify.Message(
        "qa: phase-1 failed", "Step: verify\nCause: health: no\n\nThe server's log ends:\none\ntwo", good=False
    )


def test_a_failed_deployment_is_told_with_step_cause_and_log(stage: Stage, inbox: Inbox) -> None:
    """A real deployment by tag that crashes, told by the command line; the secrets in its log are not."""
    stage.file.write_text(stage.file.read_text().replace("[environment.", 'alerts = "TELL"\n[environment.'))
    origin = forge(stage.folder / "forge")
    origin.fake("1", behaviour="crash")
    origin.tag("deploy/stage/phase-1")
    secrets = {"TELL": inbox.url, "ADMIN_TOKEN": "configuration"}  # a word of the server's last ones
    done = stage.gaia("deploy", str(stage.file), "phase-1", GIT_DIR=str(origin.bare), **secrets)
    assert done.returncode == 1
    [message] = inbox.messages
    assert message["title"] == "stage: phase-1 failed"
    assert message["type"] == "failure"
    step, cause, *log = message["message"].splitlines()
    assert step == "Step: deploy"
    assert cause.startswith("Cause: ")
    assert "the *** is not to my liking" in cause
    assert (log[1], log[-1]) == ("The server's log ends:", "the *** is not to my liking")
    assert recorded(stage.environment) == [("sent", None)]
    assert not [path for path in paths.of(stage.environment).ledger.parent.glob("*.log") if TOKEN in path.read_text()]


def test_a_rollback_is_told(stage: Stage, inbox: Inbox) -> None:
    """The release before serves again, and people know it."""
    stage.file.write_text(stage.file.read_text().replace("[environment.", 'alerts = "TELL"\n[environment.'))
    for version in ("1", "2"):
        stage.deploy(version)
    done = stage.gaia("rollback", str(stage.file), TELL=inbox.url)
    assert done.returncode == 0, done.stderr
    assert [message["title"] for message in inbox.messages] == ["stage: the previous release is back"]


def test_a_deployment_that_went_well_is_told(tmp_path: Path, inbox: Inbox) -> None:
    """Several URLs stand in the variable, apart by spaces; each gets the message."""
    there = environment(tmp_path, TELL=f"{inbox.url} {inbox.url}/second", PORT="8123")
    with notify.told(there, "phase-1"):
        pass
    expected = ("there: phase-1 deployed", "phase-1 serves at http://127.0.0.1:8123", "success")
    assert [(m["title"], m["message"], m["type"]) for m in inbox.messages] == [expected, expected]
    assert recorded(there) == [("sent", None)]


def test_a_step_that_failed_earlier_is_not_blamed(tmp_path: Path, inbox: Inbox) -> None:
    """What fails before the ledger is opened is the validation, whatever stands there from before."""
    there = environment(tmp_path, TELL=inbox.url)
    ledger = paths.of(there).ledger
    ledger.parent.mkdir(parents=True)
    old = {"at": "2026-01-01T00:00:00.000Z", "environment": "there", "phase": "phase-1", "step": "deploy"}
    jsonl.append(ledger, {**old, "event": "failed"})
    with pytest.raises(NotReady), notify.told(there, "phase-1"):
        raise NotReady("no")
    assert inbox.messages[0]["message"] == "Step: validate\nCause: no\n\nThe server's log says nothing."


def test_the_step_of_a_rollback_that_failed_is_told(tmp_path: Path, inbox: Inbox) -> None:
    """The ledger knows the phase that it went back to, the command line only that it is the previous one."""
    there = environment(tmp_path, TELL=inbox.url)
    paths.prepare(paths.of(there))
    with pytest.raises(NotReady), notify.told(there, "the previous release", done="is back"):
        go_back(there)
    assert inbox.messages[0]["message"].startswith("Step: deploy\nCause: no\n")


def go_back(there: Environment) -> None:
    """Begin a rollback whose server does not become ready."""
    told = deployment.begin(there, "rollback", "phase-1", None)
    with told.step(Checkpoint.DEPLOY):
        raise NotReady("no")


def test_who_waits_for_its_turn_alarms_nobody(tmp_path: Path, inbox: Inbox) -> None:
    """Nothing was tried while another command held the lock, and the watch asks again every few seconds."""
    there = environment(tmp_path, TELL=inbox.url)
    with pytest.raises(Busy), notify.told(there, "phase-1"):
        raise Busy("there: busy")
    assert inbox.messages == []
    assert recorded(there) == []


def test_a_ledger_that_cannot_be_written_keeps_nobody_from_being_told(tmp_path: Path, inbox: Inbox) -> None:
    """The message is sent, and the deployment's own error is not replaced."""
    there = environment(tmp_path, TELL=inbox.url)
    (tmp_path / "log").write_text("a file stands in the way")
    with pytest.raises(NotReady), notify.told(there, "phase-1"):
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
    """The deployment goes on; the ledger says why nobody was told, without the URL's token."""
    there = environment(tmp_path, TELL=urls)
    with notify.told(there, "phase-1"):
        pass
    [(event, reason)] = recorded(there)
    assert event == "failed"
    assert why in str(reason)
    assert TOKEN not in paths.of(there).ledger.read_text()


def test_without_the_key_nobody_is_told(tmp_path: Path) -> None:
    """An environment that names no variable sends nothing and records nothing."""
    there = environments.load("qa", variables={"GAIA_LOG_DIR": str(tmp_path)})
    assert not notify.tell(there, "phase-1", notify.succeeded("qa", "phase-1", ""))
    assert not list(tmp_path.iterdir())

"""What a failed start is quoted with: its own words and answers, and none that steer a terminal."""

from collections.abc import Iterator

import pytest

from gaia_checks.deploy.state import paths
from gaia_checks.errors import NotReady
from tests.deploy.conftest import make_stage
from tests.deploy.stage import Stage, eventually, lines


@pytest.fixture
def chatty(database: str) -> Iterator[Stage]:
    """An environment whose server never stops writing to its log."""
    with make_stage("external", server="[server]\nready_s = 5\n", DATABASE_URL=database) as stage:
        stage.deploy("1", "chatty")
        log = paths.of(stage.environment).server_log
        eventually(lambda: log.read_text().count("small talk") > 1)
        yield stage


def why(stage: Stage, behaviour: str) -> str:
    """Deploy a release that fails, and return the error, which is also in the ledger."""
    with pytest.raises(NotReady) as caught:
        stage.deploy("2", behaviour)
    assert str(caught.value).startswith(lines(stage)[-1]["why"])
    return str(caught.value)


def test_a_failed_start_is_quoted_with_its_own_words(chatty: Stage) -> None:
    """Also while the old server writes; the candidate's words stay in a log of their own."""
    said = why(chatty, "crash")
    assert "exited with exit code 1 before it was ready; last log line: the configuration is not to my liking; " in said
    assert paths.of(chatty.environment).candidate_log.read_text() == "the configuration is not to my liking\n"


def test_a_failed_start_names_the_exception_and_where_its_traceback_is(chatty: Stage) -> None:
    """The log's JSON line is thousands of characters long; the event and the exception come first."""
    said = why(chatty, "raise")
    assert "before it was ready; last log line: error start failed: KeyError: 'PORT' logger=xxx" in said
    assert f"; its traceback: {paths.of(chatty.environment).candidate_log}; " in said


def test_where_two_servers_share_a_log_neither_is_quoted(chatty: Stage) -> None:
    """A server that ran as a candidate and fails in public, beside one that writes to the same log."""
    log = paths.of(chatty.environment).server_log
    assert f"exited with exit code 1 before it was ready; see {log}; " in why(chatty, "shy")


def test_what_an_unready_server_answers_is_said_and_steers_no_terminal(chatty: Stage) -> None:
    """Status and first line of the body, in the error, the ledger and the history."""
    said = why(chatty, "broken")
    assert r"not ready within 5 s: GET /readyz answered 500: no \x1b[31mdatabase; last log line: " in said
    assert r"GET /readyz answered 500: no \x1b[31mdatabase; " in chatty.gaia("history", str(chatty.file)).stdout

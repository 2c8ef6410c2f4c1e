"""The small parts of a deployment: tags, back-off, lock, ledger, log rotation."""

import errno
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from gaia_checks import environment, journal
from gaia_checks.deploy import control, database, dump, executable, lint, lock, logfile, places, restart, story, tag
from gaia_checks.deploy.points import Point
from gaia_checks.errors import Busy, ConfigurationError, DeployError, MissingDependency


@pytest.mark.parametrize(
    ("text", "expected"),
    [("deploy/qa/phase-11.4", ("qa", "phase-11.4")), ("deploy/prod/v1_2", ("prod", "v1_2"))],
)
def test_a_tag_is_read_and_written_back(text: str, expected: tuple[str, str]) -> None:
    """Environment and phase come out, and go in again."""
    found = tag.parse(text)
    assert (found.environment, found.phase) == expected
    assert str(found) == text


@pytest.mark.parametrize(
    "text", ["", "deploy/qa", "deploy/qa/", "deploy/qa/a/b", "deploy/qa/..", "x/qa/1", "deploy/qa/a b"]
)
def test_anything_else_is_no_tag(text: str) -> None:
    """What git or a folder name could not hold is refused with an example."""
    with pytest.raises(ConfigurationError, match="is no deployment tag; write deploy/ENVIRONMENT/PHASE"):
        tag.parse(text)


def test_a_tag_cannot_ask_for_the_working_tree() -> None:
    """Its phase stands for what was never tagged, so whoever follows tags must not deploy by it."""
    with pytest.raises(
        ConfigurationError, match="is no deployment tag: worktree is what was never tagged; give it a phase"
    ):
        tag.parse("deploy/prod/worktree")


def test_back_off_grows_to_a_limit_and_forgets() -> None:
    """0.1 s, doubling, at most 30 s; a minute of running makes the next crash the first again."""
    assert [restart.delay_s(n) for n in (1, 2, 3, 10, 10_000)] == [0.1, 0.2, 0.4, 30, 30]
    assert restart.crashes_in_a_row(4, uptime_s=59) == 5
    assert restart.crashes_in_a_row(4, uptime_s=60) == 1


def test_the_lock_names_its_holder_and_is_free_afterwards(tmp_path: Path) -> None:
    """The second comer is told who, since when and why; after the first has left it may go."""
    path = tmp_path / "lock"
    with (
        lock.hold(path, environment="qa", why="deploy phase-1", since="2026-02-26T10:00:00.000Z"),
        pytest.raises(Busy, match=r"qa: busy: deploy phase-1 by \S+@\S+ \(pid \d+\) since 2026-02-26T10:00:00.000Z"),
        lock.hold(path, environment="qa", why="stop", since=""),
    ):
        pass
    with lock.hold(path, environment="qa", why="stop", since=""):
        pass


def tell(here: environment.Environment) -> None:
    """Tell a story that goes wrong in its second step."""
    told = story.begin(here, "deploy", "phase-1", None)
    with told.step(Point.PREPARE):
        pass
    with told.step(Point.DEPLOY):
        raise ValueError("token canary-5e0 was refused")


def test_the_ledger_tells_a_failure_without_secrets(tmp_path: Path) -> None:
    """Each step is begun and ended or failed with its reason; passwords are not written."""
    here = environment.load("local", variables={"ADMIN_TOKEN": "canary-5e0", "GAIA_HOME": str(tmp_path)})
    places.prepare(places.of(here))
    with pytest.raises(ValueError, match="canary"):
        tell(here)
    lines = list(journal.read(places.of(here).ledger))
    assert [(line["step"], line["event"]) for line in lines] == [
        ("deployment", "begun"), ("prepare", "begun"), ("prepare", "ended"),
        ("deploy", "begun"), ("deploy", "failed"),
    ]  # fmt: skip
    assert lines[4]["why"] == "token *** was refused"
    assert {line["phase"] for line in lines} == {"phase-1"}
    assert len({line["deployment"] for line in lines}) == 1


def test_rotation_loses_no_line_and_keeps_the_writers_descriptor(tmp_path: Path) -> None:
    """What was written moves to .1, what is written afterwards starts the file anew, older files move up."""
    log = tmp_path / "server.log"
    with log.open("a") as writer:
        for number in range(logfile.KEPT + 3):
            writer.write(f"line {number}\n" * 10)
            writer.flush()
            assert logfile.rotate(log, limit_bytes=50)
        writer.write("now\n")
        writer.flush()
        assert not logfile.rotate(log, limit_bytes=50)
    assert log.read_text() == "now\n"
    kept = [(tmp_path / f"server.log.{n}").read_text() for n in range(1, logfile.KEPT + 1)]
    assert kept == [f"line {logfile.KEPT + 2 - n}\n" * 10 for n in range(logfile.KEPT)]
    assert len(list(tmp_path.iterdir())) == logfile.KEPT + 1


def test_a_rotation_for_which_the_disk_is_too_full_moves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is tried again and again: each time an older file would be lost."""
    log, kept = tmp_path / "server.log", tmp_path / "server.log.1"
    log.write_text("now\n")
    kept.write_text("before\n")

    def refused(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("shutil.copyfileobj", refused)
    with pytest.raises(OSError, match="No space left"):
        logfile.rotate(log, limit_bytes=0)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {log.name: "now\n", kept.name: "before\n"}


def test_the_last_line_is_of_this_start_only(tmp_path: Path) -> None:
    """An earlier process's last words are not this one's."""
    log = tmp_path / "server.log"
    log.write_text("old\n")
    assert logfile.last_line(log, 4) == ""
    log.write_text("old\nnew\n\n")
    assert logfile.last_line(log, 4) == "new"
    assert logfile.last_line(tmp_path / "none") == ""


@pytest.mark.parametrize(
    ("dsn", "shown"),
    [
        ("postgresql://u:p%2Fw%40@h:5432/db", "db on h"),
        ("host=h dbname=db password=a://b/c@d@e", "db on h"),
        ("postgres//u:canary@h/db", None),
        ("postgresql://u:pa/canary@h:5432/db", None),
        ("postgresql://u:12/canary@h:5432/db", None),
        ("postgresql://u:pa@canary@h:5432/db", None),
        ("postgresql://u:canary/db", None),
    ],
)
def test_where_the_database_is_shows_nothing_of_a_password(dsn: str, shown: str | None) -> None:
    """What could be the rest of a password that was not escaped is not taken for a host, a port or a name."""
    assert database.whereabouts(dsn) == shown


def test_no_passphrase_of_a_key_becomes_an_argument() -> None:
    """The arguments of PostgreSQL's programs are everybody's to read, and this has no variable to go by."""
    with pytest.raises(ConfigurationError, match="pg_dump cannot be given sslpassword in secret; let sslkey") as raised:
        dump.run("pg_dump", dsn="postgresql://127.0.0.1:1/db?sslpassword=canary-3e0")
    assert "canary" not in str(raised.value)


@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        (b"#!/usr/bin/env python3\n", None),
        (b"#!/usr/bin/env -S python3 -u\n", None),
        (b"#!/usr/bin/env -S LANG=C python3\n", None),
        (b"#!/usr/bin/env -S nowhere3 -u\n", "its interpreter nowhere3 is not on this machine; install it"),
        (b"#!/nowhere/python3 sh\n", "its interpreter /nowhere/python3 is not on this machine; install it"),
    ],
)
def test_the_interpreter_of_a_script_is_found_behind_envs_options(line: bytes, wrong: str | None) -> None:
    """`env -S` takes options and variables before the program's name."""
    assert executable.unfit(line, "x86_64") == wrong


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (("sh", "-c", "kill -9 $$"), "squawk did not read the migrations: exit code -9; mend that or run: make inst"),
        (("sh", "-c", "echo no library >&2; exit 127"), "squawk did not read the migrations: no library; mend"),
        (("/dev/null",), "squawk cannot be started: Permission denied; run: make install"),
        (("/nowhere/squawk",), "squawk cannot be started: No such file or directory; run: make install"),
    ],
)
def test_migrations_that_squawk_did_not_read_do_not_pass(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, argv: tuple[str, ...], message: str
) -> None:
    """Killed or not started it finds nothing, either; only what it says itself counts as nothing."""
    (tmp_path / "order.txt").write_text("001_a.sql\n")
    (tmp_path / "001_a.sql").write_text("CREATE TABLE IF NOT EXISTS a (id bigint);\n")
    lint.check(tmp_path, ["001_a"], ())
    monkeypatch.setattr(lint, "command", lambda *_: argv)
    with pytest.raises(MissingDependency, match=message):
        lint.check(tmp_path, ["001_a"], ())


def test_a_start_may_take_as_long_as_its_order_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is waited for when another request has long been given up."""
    monkeypatch.setattr(control, "ANSWER_TIMEOUT_S", 0.05)
    path = tmp_path / "control.sock"
    with socket.socket(socket.AF_UNIX) as listener, ThreadPoolExecutor() as threads:
        listener.bind(str(path))
        listener.listen()
        with control.Conversation(path) as patient, control.Conversation(path) as other:
            starting = threads.submit(patient.ask, "start", order={"ready_s": 30})
            supervisor, _ = listener.accept()
            with supervisor:
                assert b"start" in supervisor.recv(1000)
                with pytest.raises(DeployError, match="does not answer to commit: timed out"):
                    other.ask("commit")
                supervisor.sendall(control.encode({"pid": 1}))
                assert starting.result() == {"pid": 1}

"""The `gaia` command: exit codes, one clear line per error, no traceback, no secret."""

import os
import re
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import psycopg
import pytest

from gaia_checks import __version__, cli
from gaia_checks.deploy.migrations import migration_files
from gaia_checks.deploy.migrations.runner import LOCK_KEY
from gaia_checks.deploy.supervisor.spawn import free_port

EXTERNAL = """
[environment]
stage = "dev"
database = "external"
host = "127.0.0.1"
required = ["DATABASE_URL"]
[environment.defaults]
PORT = "{port}"
"""

ANOTHER_ACCOUNT = """
import os, sys
from gaia_checks import __version__, cli
from gaia_checks.environment import environment_file
command, file, *closed = sys.argv[1:]
cli.run([command, file])  # imports what it needs: Python's own folders may be closed to others, too
for folder in closed:
    os.chmod(folder, 0)
if os.geteuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
sys.exit(cli.run([command, file]))
"""


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An environment file, with state and logs in folders of their own."""
    monkeypatch.setenv("GAIA_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("GAIA_LOG_DIR", str(tmp_path / "log"))
    monkeypatch.delenv("DATABASE_URL", raising=False)
    path = tmp_path / "there.toml"
    path.write_text(EXTERNAL.format(port=free_port()))
    return path


def gaia(*words: str) -> subprocess.Popen[str]:
    """Start a command."""
    return subprocess.Popen(
        (sys.executable, "-m", "gaia_checks.cli", *words),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("deploy", "nowhere"), "gaia: nowhere: no such environment"),
        (("deploy", "dev"), "gaia: dev: give the phase to deploy, e.g. gaia deploy dev phase-11.4"),
        (("deploy", "dev", "worktree"), "gaia: dev: give the phase to deploy, e.g. gaia deploy dev phase-11.4"),
        (("history",), "gaia: Missing argument 'ENV'; see: gaia --help"),
        (("promote", "phase-1"), "gaia: Missing option '--to'; see: gaia --help"),
        (("status",), "gaia: status: give one environment, e.g. gaia status qa, or --all"),
        (("status", "qa", "--all"), "gaia: status: give one environment, e.g. gaia status qa, or --all"),
        (("status", "--all", "--repair"), "gaia: status: give one environment, e.g. gaia status qa, or --all"),
        (("sttus",), "gaia: No such command 'sttus'. Did you mean 'status'?; see: gaia --help"),
        (("verdict", "sho"), "gaia: No such command 'sho'. Did you mean 'show'?; see: gaia --help"),
        (("status", "local", "--jsn"), "gaia: No such option '--jsn'. Did you mean '--json'?; see: gaia --help"),
        (("status", "a", "b"), "gaia: Got unexpected extra argument (b); see: gaia --help"),
        (("migrate", "local", "sideways"), "gaia: migrate: 'sideways' is not one of up, down, status, verify"),
        (("watch", "--env", "qa"), "gaia: qa: no git remote; give --remote URL, or set remote in qa.toml"),
        (("promote", "phase-1", "--to", "dev"), "gaia: dev: a release enters stage dev by its tag alone"),
        (("prune", "local", "--keep", "-1"), "gaia: Invalid value for '--keep'"),
        (("logs", "local", "-n", "99999999999999999999"), "gaia: Invalid value for '--lines'"),
        (("migrate", "local", "down", "--count", "0"), "gaia: Invalid value for '--count'"),
    ],
)
def test_wrong_use_is_one_line_and_exit_code_4(
    words: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """What was asked for cannot be done as written: the line says what to write."""
    assert cli.run(list(words)) == 4
    shown = capsys.readouterr()
    assert shown.err.startswith(message)
    assert shown.err.count("\n") == 1
    assert shown.out == ""


def test_a_group_without_its_command_shows_its_help(capsys: pytest.CaptureFixture[str]) -> None:
    """It is wrong usage: exit code 4, and the help is no output of a command."""
    assert cli.run(["verdict"]) == 4
    shown = capsys.readouterr()
    assert shown.err.startswith("Usage: gaia verdict [OPTIONS] COMMAND [ARGS]...\n")
    assert "\n  publish  Record a gate's statement" in shown.err
    assert shown.out == ""


def test_help_names_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    """What is for machines alone is not in the help."""
    assert cli.run(["--help"]) == 0
    shown = capsys.readouterr().out
    assert all(
        word in shown for word in ("deploy", "stop", "status", "migrate", "verdict", "watch", "promote", "doctor")
    )
    assert "supervise" not in shown


def test_the_version_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    """One line, and no command is needed."""
    assert cli.run(["--version"]) == 0
    assert capsys.readouterr().out == f"gaia-checks {__version__}\n"


def test_a_missing_variable_is_named(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Deploying without a required variable says which and how to set it."""
    assert cli.run(["deploy", str(file), "phase-1"]) == 4
    assert (
        "DATABASE_URL not set; there.toml requires it: export DATABASE_URL=... and run again" in capsys.readouterr().err
    )


def test_an_unreachable_database_is_said_without_its_password(
    file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The line says that the database does not answer; the password appears nowhere."""
    monkeypatch.setenv("DATABASE_URL", "postgresql://gaia:canary-1c7@127.0.0.1:1/x")
    assert cli.run(["deploy", str(file), "phase-1"]) == 4
    shown = capsys.readouterr()
    assert shown.err.startswith("gaia: the database does not answer: ")
    assert "canary" not in shown.err + shown.out
    assert not [path for path in file.parent.rglob("*") if path.is_file() and b"canary" in path.read_bytes()]


def test_a_folder_that_cannot_be_written_is_named(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Where nothing can be written, the variable to set is said."""
    (file.parent / "home").write_text("a file stands in the way")
    assert cli.run(["deploy", str(file), "phase-1"]) == 4
    assert "set GAIA_HOME to another folder" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["status", "history", "logs"])
def test_what_another_account_may_not_read_is_one_line_and_exit_code_4(file: Path, command: str) -> None:
    """Where the folders are closed to us the line names the file and who may look."""
    with tempfile.TemporaryDirectory(prefix="gaia-cli-") as made:
        folder = Path(made)
        folder.chmod(0o711)  # not below tmp_path, which is closed as a whole
        (folder / "there.toml").write_text(file.read_text())
        variables = {name: str(folder / name) for name in ("GAIA_HOME", "GAIA_LOG_DIR")}
        for closed in variables.values():
            Path(closed).mkdir()
        done = subprocess.run(
            (sys.executable, "-c", ANOTHER_ACCOUNT, command, str(folder / "there.toml"), *variables.values()),
            env={**os.environ, **variables}, capture_output=True, text=True, check=False,
        )  # fmt: skip
    assert done.returncode == 4, done.stderr
    assert re.fullmatch(r"gaia: /\S+: Permission denied; run it as the account that owns it\n", done.stderr)


def test_migrations_go_up_and_down(
    file: Path, database: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """up, status, verify and down, each with the exit code that fits."""
    monkeypatch.setenv("DATABASE_URL", database)
    assert cli.run(["migrate", str(file), "verify"]) == 1
    assert cli.run(["migrate", str(file), "up"]) == 0
    assert (
        "applied: 050_rate_limiting, 050_phase2_reputation, 050_phase3_alerts, 051_push_messages"
        in capsys.readouterr().out
    )
    assert cli.run(["migrate", str(file), "verify"]) == 0
    assert cli.run(["migrate", str(file), "down"]) == 0
    capsys.readouterr()
    assert cli.run(["migrate", str(file), "status"]) == 0
    applied = "applied  050_rate_limiting\napplied  050_phase2_reputation\napplied  050_phase3_alerts\n"
    assert capsys.readouterr().out == f"{applied}pending  051_push_messages\n"


@pytest.mark.parametrize("command", ["up", "down"])
def test_a_migration_that_ends_its_transaction_touches_a_scratch_database_only(
    file: Path, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    command: str,
) -> None:  # fmt: skip
    """Whatever hides the COMMIT from the lexer, nothing of the file reaches the environment's database."""
    leak = "CREATE TABLE leaked (id int); COMMIT; BEGIN;"
    (tmp_path / "m" / "rollback").mkdir(parents=True)
    (tmp_path / "m" / "order.txt").write_text("001\n")
    (tmp_path / "m" / "001.sql").write_text(leak if command == "up" else "SELECT 1;")
    (tmp_path / "m" / "rollback" / "001.sql").write_text(leak)
    monkeypatch.setenv("DATABASE_URL", database)
    monkeypatch.setattr("gaia_checks.deploy.migrate.FOLDER", tmp_path / "m")
    monkeypatch.setattr(migration_files, "transaction_control", lambda _: None)
    if command == "down":
        assert cli.run(["migrate", str(file), "up"]) == 0
    assert cli.run(["migrate", str(file), command]) == 1
    assert "001.sql: ends the transaction it is applied in" in capsys.readouterr().err
    with psycopg.connect(database) as connection:
        assert connection.execute("SELECT to_regclass('leaked')").fetchone() == (None,)


def test_nothing_deployed_is_shown_as_stopped(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Status of an environment that never ran, and stop of it, are no errors."""
    assert cli.run(["status", str(file)]) == 0
    assert "state        stopped" in capsys.readouterr().out
    assert cli.run(["stop", str(file)]) == 0
    assert capsys.readouterr().out == "there: stopped\n"


def test_evidence_that_is_not_there_decides_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A verdict on a folder without evidence is inconclusive, in one line."""
    assert cli.run(["verdict", "show", str(tmp_path / "none")]) == 8
    assert capsys.readouterr().err.count("\n") == 1


def test_ctrl_c_ends_without_a_traceback(file: Path, database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Interrupted while it waits for its turn, the command ends with 130 and names only whom it waited for."""
    monkeypatch.setenv("DATABASE_URL", database)
    with psycopg.connect(database, autocommit=True) as holder:
        holder.execute("SELECT pg_advisory_lock(%s)", (LOCK_KEY,))
        with gaia("migrate", str(file), "up") as command:
            assert command.stdout is not None
            first = command.stdout.readline()
            command.send_signal(signal.SIGINT)
            out, err = command.communicate(timeout=30)
    assert (command.returncode, err.strip()) == (130, "")
    assert first.startswith("waiting for the migration lock of session ")
    assert out == ""


def test_the_installed_command_runs(file: Path) -> None:
    """`gaia` stands beside the Python that it was installed for."""
    command = Path(sys.executable).with_name("gaia")
    done = subprocess.run(
        (str(command), "status", str(file)), capture_output=True, text=True, check=False, env=os.environ
    )
    assert (done.returncode, done.stderr) == (0, "")

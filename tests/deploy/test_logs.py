"""`gaia logs`: the last lines, following, rotations and redaction."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gaia_checks import logs
from gaia_checks.deploy.state import paths
from gaia_checks.deploy.supervisor import log_rotation
from tests.deploy.stage import Stage, eventually

TRACEBACK = "Traceback (most recent call last):\n  File \"decide.py\", line 45, in decide\nKeyError: '\x1b[2J'"


@pytest.fixture
def log(stage: Stage) -> Path:
    """A log of three lines, of which the last is no JSON."""
    paths.prepare(paths.of(stage.environment))
    path = paths.of(stage.environment).server_log
    path.write_text('{"time":"t1","level":"info","msg":"one","n":1}\n{"level":"error","msg":"two"}\nTraceback\n')
    return path


def write(log: Path, *lines: str) -> None:
    """Append lines, as servers do."""
    with log.open("a") as file:
        file.writelines(f"{line}\n" for line in lines)


@contextmanager
def following(stage: Stage, *options: str) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """Run `gaia logs -f`; yield the process and its output file."""
    output = stage.folder / "output"
    command = (sys.executable, "-m", "gaia_checks.cli", "logs", str(stage.file), "-f", *options)
    with output.open("w") as file, subprocess.Popen(
        command, env={**os.environ, **stage.variables}, stdout=file, stderr=file, text=True
    ) as process:  # fmt: skip
        try:
            yield process, output
        finally:
            process.kill()


def test_the_last_lines_are_shown(stage: Stage, log: Path) -> None:
    """The lines are printed verbatim, or as JSON objects with --json."""
    write(log, "ends without a line feed")
    with log.open("a") as file:
        file.write("torn")
    assert stage.gaia("logs", str(stage.file), "-n", "3").stdout == "Traceback\nends without a line feed\ntorn\n"
    shown = stage.gaia("logs", str(stage.file), "--json", "-n", "4").stdout
    assert [json.loads(line)["msg"] for line in shown.splitlines()] == [
        "two", "Traceback", "ends without a line feed", "torn",
    ]  # fmt: skip


def test_secrets_are_not_shown(stage: Stage, log: Path) -> None:
    """`gaia logs` redacts a secret that the server has logged."""
    write(log, '{"msg":"token canary-2f9 refused"}')
    assert (
        stage.gaia("logs", str(stage.file), "-n", "1", ADMIN_TOKEN="canary-2f9").stdout
        == '{"msg":"token *** refused"}\n'
    )


def test_the_last_lines_span_a_rotation(stage: Stage, log: Path) -> None:
    """The last lines include those moved to the rotated file."""
    log_rotation.rotate(log, limit_bytes=0)
    write(log, "four")
    assert stage.gaia("logs", str(stage.file), "-n", "2").stdout == "Traceback\nfour\n"


def test_following_continues_across_rotations_and_stops_with_ctrl_c(stage: Stage) -> None:
    """Following starts without a log, prints every line once over two rotations, and exits 0 on Ctrl-C."""
    with following(stage, "-n", "1000") as (process, output):
        log = paths.of(stage.environment).server_log
        paths.prepare(paths.of(stage.environment))
        write(log, *(f"a{number}" for number in range(200)))
        eventually(lambda: "a199\n" in output.read_text())
        for letter in "bc":
            write(log, f"last before {letter}")
            log_rotation.rotate(log, limit_bytes=0)
            write(log, *(f"{letter}{number}" for number in range(300)))
            eventually(lambda wanted=f"{letter}299\n": wanted in output.read_text())  # type: ignore[misc]
        process.send_signal(signal.SIGINT)
        assert process.wait(15) == 0
        expected = [*(f"a{n}" for n in range(200))]
        for letter in "bc":
            expected += [f"last before {letter}", *(f"{letter}{n}" for n in range(300))]
        assert output.read_text().splitlines()[-len(expected) :] == expected


def test_a_closed_pipe_ends_the_output_without_a_traceback(stage: Stage, log: Path) -> None:
    """`gaia logs ENV | head -1` shows no traceback."""
    write(log, *(f"{number} {'x' * 200}" for number in range(2000)))
    command = f"{sys.executable} -m gaia_checks.cli logs {stage.file} -n 2000 | head -n 1"
    done = subprocess.run(
        ("sh", "-c", command),
        env={**os.environ, **stage.variables}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("0 xxx")


def test_a_line_is_formatted_for_a_terminal() -> None:
    """JSON becomes time, level, message and other fields, a traceback below; other lines are unchanged."""
    assert logs.for_people('{"time":"t1","level":"info","msg":"one","n":1}').plain == "t1 info     one n=1"
    assert logs.for_people("Traceback").plain == "Traceback"
    assert logs.for_people('{"msg":"\\u001b[2J","n":"\\u202e"}').plain == r"\x1b[2J n=\u202e"
    event = {"level": "error", "msg": "failed", "exception": TRACEBACK, "path": "/x"}
    assert logs.for_people(json.dumps(event)).plain.splitlines() == [
        "error    failed path=/x",
        "  Traceback (most recent call last):",
        '    File "decide.py", line 45, in decide',
        r"  KeyError: '\x1b[2J'",
    ]

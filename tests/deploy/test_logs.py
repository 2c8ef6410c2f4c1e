"""Reading the server's log: its end, as it grows, across rotations, without secrets."""

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


@pytest.fixture
def log(stage: Stage) -> Path:
    """A log of three lines, the last of them no JSON."""
    paths.prepare(paths.of(stage.environment))
    path = paths.of(stage.environment).server_log
    path.write_text('{"time":"t1","level":"info","msg":"one","n":1}\n{"level":"error","msg":"two"}\nTraceback\n')
    return path


def write(log: Path, *lines: str) -> None:
    """Append as the servers do."""
    with log.open("a") as file:
        file.writelines(f"{line}\n" for line in lines)


@contextmanager
def following(stage: Stage, *options: str) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """`gaia logs -f`, and the file that it writes to."""
    output = stage.folder / "followed"
    command = (sys.executable, "-m", "gaia_checks.cli", "logs", str(stage.file), "-f", *options)
    with output.open("w") as file, subprocess.Popen(
        command, env={**os.environ, **stage.variables}, stdout=file, stderr=file, text=True
    ) as process:  # fmt: skip
        try:
            yield process, output
        finally:
            process.kill()


def test_the_last_lines_are_shown(stage: Stage, log: Path) -> None:
    """As they stand there, or each as an object for programs."""
    write(log, "ends without a line feed")
    with log.open("a") as file:
        file.write("torn")
    assert stage.gaia("logs", str(stage.file), "-n", "3").stdout == "Traceback\nends without a line feed\ntorn\n"
    shown = stage.gaia("logs", str(stage.file), "--json", "-n", "4").stdout
    assert [json.loads(line)["msg"] for line in shown.splitlines()] == [
        "two", "Traceback", "ends without a line feed", "torn",
    ]  # fmt: skip


def test_secrets_are_not_shown(stage: Stage, log: Path) -> None:
    """The server should not have logged them; we do not pass them on."""
    write(log, '{"msg":"token canary-2f9 refused"}')
    assert (
        stage.gaia("logs", str(stage.file), "-n", "1", ADMIN_TOKEN="canary-2f9").stdout
        == '{"msg":"token *** refused"}\n'
    )


def test_the_end_is_found_behind_a_rotation(stage: Stage, log: Path) -> None:
    """What was moved a moment ago still belongs to the last lines."""
    log_rotation.rotate(log, limit_bytes=0)
    write(log, "four")
    assert stage.gaia("logs", str(stage.file), "-n", "2").stdout == "Traceback\nfour\n"


def test_following_goes_on_across_rotations_and_ends_with_ctrl_c(stage: Stage) -> None:
    """From a log that is not there yet, over two rotations; every line once; Ctrl-C is no failure."""
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


def test_a_reader_that_has_seen_enough_ends_it_quietly(stage: Stage, log: Path) -> None:
    """`gaia logs ENV | head -1` shows no traceback."""
    write(log, *(f"{number} {'x' * 200}" for number in range(2000)))
    command = f"{sys.executable} -m gaia_checks.cli logs {stage.file} -n 2000 | head -n 1"
    done = subprocess.run(
        ("sh", "-c", command),
        env={**os.environ, **stage.variables}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("0 xxx")


def test_a_line_is_shown_as_one_reads_it() -> None:
    """Time, level, message, then the rest; what is no JSON as it is."""
    assert logs.for_people('{"time":"t1","level":"info","msg":"one","n":1}').plain == "t1 info     one n=1"
    assert logs.for_people("Traceback").plain == "Traceback"
    assert logs.as_record("[1]") == {"msg": "[1]"}

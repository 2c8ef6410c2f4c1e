"""A log behind ssh: the real ssh and a real sshd."""

import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from gaia_checks.model import LogLocation, Measurement
from gaia_checks.recorders.log import log_recorder, log_source, ssh_tail
from gaia_checks.recorders.log.ssh_tail import SshTail
from tests.probes.servers import HEALTHY, answering, serving, target
from tests.recorders import stage
from tests.recorders.log.test_log_recorder import line, values
from tests.recorders.test_main import recorders, until
from tests.support import sshd


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sshd.Sshd]:
    """A remote machine, simulated by a local sshd."""
    with sshd.running(tmp_path_factory.mktemp("sshd")) as made:
        yield made


@pytest.fixture
def log(machine: sshd.Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LogLocation:
    """A remote log with shell characters in its name; the test writes the file."""
    monkeypatch.setenv("PATH", machine.path)
    return LogLocation(str(tmp_path / "it's $(a) log"), f"{machine.user}@127.0.0.1", machine.port)


def read(lines: SshTail) -> list[str]:
    """Read all lines."""
    observed: list[str] = []
    until(lambda: take(lines, observed) and bool(lines.up_to_now or lines.lost))
    return observed


def take(lines: SshTail, observed: list[str]) -> bool:
    """Append the lines since the last call."""
    observed += [text for some in lines.lines() for text in some]
    return True


def tails(log: LogLocation) -> list[int]:
    """The processes of "that machine" and of ours that have to do with this log."""
    name = Path(log.path).parent.name
    found = [p.info for p in psutil.process_iter(("pid", "cmdline")) if p.info["cmdline"]]
    return [
        info["pid"]
        for info in found
        if any(name in word for word in info["cmdline"]) and "pytest" not in info["cmdline"]
    ]


def test_the_command_line_holds_no_secret_and_quotes_what_a_shell_would_read() -> None:
    """The command is non-interactive, uses the user's ssh configuration, and quotes the file name."""
    assert ssh_tail.end(LogLocation("/var/log/a b", "me@qa"), 100) == (
        *("ssh", "-T", "-o", "BatchMode=yes", "-o", "LogLevel=ERROR", "-o", "ConnectTimeout=10"),
        *("-o", "ServerAliveInterval=15", "--", "me@qa", """exec sh -c 'tail -c 100 -- '"'"'/var/log/a b'"'"''"""),
    )
    argv = ssh_tail.follow(LogLocation("/var/log/x", "qa", 2222))
    assert argv[10:] == (
        *("-p", "2222", "--", "qa"),
        "exec sh -c 'wc -c < /var/log/x || exit; tail -n +1 -F -- /var/log/x & cat > /dev/null; kill $!'",
    )


def test_lines_come_from_the_first_on_and_as_they_are_written(log: LogLocation) -> None:
    """Existing lines come first, then new ones; an unfinished line waits for its end."""
    Path(log.path).write_text("one\n\ntw")
    lines = SshTail(log)
    observed = read(lines)
    assert (observed, lines.up_to_now, lines.lost) == (["one"], True, None)
    with Path(log.path).open("a") as file:
        file.write("o\nthree")
    until(lambda: take(lines, observed) and len(observed) == 2)
    assert observed == ["one", "two"]
    assert lines.last() == ["three"]
    lines.close()
    until(lambda: not tails(log))


def test_a_tail_that_never_notices_that_nobody_reads_is_ended_all_the_same(
    log: LogLocation, machine: sshd.Sshd
) -> None:
    """The remote tail stops when our end closes, also on systems whose tail ignores that."""
    tail = machine.there / "tail"
    tail.write_text(
        f"#!{sys.executable}\nimport sys, time\nprint(open(sys.argv[-1]).read(), flush=True)\ntime.sleep(99)\n"
    )
    tail.chmod(0o755)
    Path(log.path).write_text("one\n")
    lines = SshTail(log)
    assert read(lines) == ["one"]
    assert tails(log)
    lines.close()
    tail.unlink()
    until(lambda: not tails(log))


def test_an_emptied_log_is_reported(log: LogLocation) -> None:
    """A truncation is reported, as lines may be missing."""
    Path(log.path).write_text("one\n" * 100)
    lines = SshTail(log)
    assert len(read(lines)) == 100
    os.truncate(log.path, 0)
    until(lambda: bool(list(lines.lines()) or lines.lost))
    lines.close()
    assert "truncated" in str(lines.lost)


@pytest.mark.parametrize(
    ("host", "port", "why"),
    [(None, None, "No such file"), ("nobody@127.0.0.1", None, "Permission denied"), (None, 1, "Connection refused")],
)
def test_an_error_of_ssh_or_the_remote_machine_is_the_reason(
    log: LogLocation, host: str | None, port: int | None, why: str
) -> None:
    """A missing file, account or host is reported at once, with ssh's own message."""
    wrong = LogLocation(log.path, host or log.host, port or log.port)
    lines = SshTail(wrong)
    assert read(lines) == []
    lines.close()
    assert why in str(lines.lost)
    with pytest.raises(OSError, match=why):
        log_source.last_bytes(wrong, 10)


def test_only_the_end_of_a_log_is_read(log: LogLocation) -> None:
    """Exactly the requested last bytes, local and remote."""
    Path(log.path).write_text("x" * 100 + "\nthe end\n")
    assert log_source.last_bytes(log, 8) == log_source.last_bytes(LogLocation(log.path), 8) == b"the end\n"
    assert len(log_source.last_bytes(log, 1000)) == 109


def test_without_ssh_the_command_that_installs_it_is_named(log: LogLocation, monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing ssh raises OSError with the command that installs it."""
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(FileNotFoundError, match="apt-get install -y openssh-client"):
        SshTail(log)


# the look --------------------------------------------------------------------------------------------


def look(folder: Path, log: LogLocation, health: object, window_s: float) -> dict[str, Measurement]:
    """Record a log behind ssh, of a server known only by its own reports."""
    with serving(answering("/health", health)) as url:
        return stage.run(log_recorder.record, target(url, log=log), folder, window_s=window_s)


def test_a_log_behind_ssh_is_read_from_the_reported_start(tmp_path: Path, log: LogLocation) -> None:
    """Lines of the previous process do not count; the source of the start time is named."""
    now = time.time()
    Path(log.path).write_text(line(now - 900, "error") + line(now - 60) + line(now - 50, "error"))
    observed = look(tmp_path, log, {**HEALTHY, "uptime_s": 60}, 30)
    assert values(observed) == (True, 1, 0)
    assert all(60 <= measurement.window_s < 70 for measurement in observed.values())
    assert "uptime_s of GET /health" in observed["log.errors"].how


def test_without_uptime_the_metrics_say_when_the_process_began(tmp_path: Path, log: LogLocation) -> None:
    """The start time comes from process_start_time_seconds."""
    now = time.time()
    Path(log.path).write_text(line(now - 900) + line(now - 60) + line(now - 60, "critical"))
    metrics = answering("/metrics", f"process_start_time_seconds {now - 60}\n", media="text/plain")
    with serving(answering("/health", HEALTHY), metrics) as url:
        observed = stage.run(log_recorder.record, target(url, log=log), tmp_path, window_s=1)
    assert values(observed) == (True, 1, 0)
    assert "process_start_time_seconds" in observed["log.errors"].how


def test_a_server_without_a_start_time_decides_nothing(tmp_path: Path, log: LogLocation) -> None:
    """Without a start time in /health or /metrics nothing is measured."""
    Path(log.path).write_text(line(time.time()))
    observed = look(tmp_path, log, HEALTHY, 1)
    assert {measurement.n for measurement in observed.values()} == {0}
    assert "the process start is not reported: GET /metrics: status 404" in observed["log.errors"].notes[0]


def test_an_unreachable_log_is_reported_at_once(tmp_path: Path, log: LogLocation) -> None:
    """An unreadable log stops the recorder at once, with the setting and the reason."""
    started = time.monotonic()
    observed = look(tmp_path, LogLocation(log.path, "nobody@127.0.0.1", log.port), {**HEALTHY, "uptime_s": 1}, 300)
    assert time.monotonic() - started < 30
    assert {measurement.n for measurement in observed.values()} == {0}
    for measurement in observed.values():
        assert 'log = "ssh://user@host/file" in test.toml' in measurement.notes[0]
        assert "Permission denied" in measurement.notes[0]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_nothing_stays_behind_however_the_recorder_ends(tmp_path: Path, log: LogLocation, number: int) -> None:
    """After a stop or a kill, neither the local ssh nor the remote tail is left."""
    Path(log.path).write_text(line(time.time()))
    with (
        serving(answering("/health", {**HEALTHY, "uptime_s": 1})) as url,
        recorders(tmp_path, {"log": {"window_s": 60}}, target(url, log=log)) as process,
    ):
        until((tmp_path / "timelines" / "log.jsonl").exists)
        assert tails(log)
        process.send_signal(number)
        process.wait(20)
        until(lambda: not [pid for pid in tails(log) if pid != process.pid])

"""New tags -> deployment -> gate -> record. The only place where deploying and judging meet.

Each environment is followed by a thread of its own: one deployment at a time, in the order in which its tags were cut.
`gaia deploy` and the gate run as processes with a session and a log file of their own: whatever ends the watch, killing
included, does not tear a deployment that began. What was requested and what came of it is recorded
(`deploy.git.tag_follower`), so the next watch goes on where this one stopped.
"""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from gaia_checks import jsonl
from gaia_checks.deploy.git import git_command, git_remote
from gaia_checks.deploy.git.git_remote import GitRemote
from gaia_checks.deploy.git.tag_follower import Followed
from gaia_checks.deploy.git.tag_requests import TagRequest
from gaia_checks.deploy.reporting import notify
from gaia_checks.deploy.state import lock, paths, supervisor_state
from gaia_checks.deploy.supervisor import log_rotation
from gaia_checks.environment import environment_file
from gaia_checks.environment.environment import Environment
from gaia_checks.environment.process_variables import inherited
from gaia_checks.environment.project import MARKER, PROJECT, ROOT
from gaia_checks.errors import Busy, EvidenceError, GaiaError
from gaia_checks.model import Log
from gaia_checks.printable import printable
from gaia_checks.promotion import record

_INTERRUPTED_GATE_S = 60.0  # how long an interrupted gate may take to close its evidence
_POLL_S = 0.1


def watch(names: Sequence[str], url: str | None, every_s: float, log: Log) -> None:
    """Follow the tags of the named environments, or of all that are deployed by tag, until SIGTERM or Ctrl-C.

    Raises ConfigurationError, and Busy when one of them is followed already.
    """
    stopping = threading.Event()
    known = [environment_file.load(name) for name in environment_file.environment_names()]
    wanted = [environment_file.load(name) for name in names] or [one for one in known if one.database != "embedded"]
    all_names = frozenset(one.name for one in (*known, *wanted))
    watchers = [Watcher(one, git_remote.of(one, url), all_names, log, stopping) for one in wanted]
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    with ThreadPoolExecutor(len(watchers)) as threads:
        running = [threads.submit(watcher.run, every_s) for watcher in watchers]
        while not stopping.wait(_POLL_S) and not any(one.done() for one in running):
            pass
        stopping.set()
    for one in running:
        one.result()


class Watcher:
    """One environment: what its tags request, done one after another."""

    def __init__(
        self, environment: Environment, source: GitRemote, known: frozenset[str], log: Log, stopping: threading.Event
    ) -> None:
        self._environment = environment
        self._source = source
        self._print = log
        self._stopping = stopping
        self._trouble = ""  # reported once
        self._lost: str | None = None  # the phase of what ran until a reboot, and does not yet again
        self._here = paths.of(environment)
        self._tags = Followed(environment, source, known, self._log)

    def run(self, every_s: float) -> None:
        """Look, and do what is requested, until a signal stops it. Raises Busy when somebody else does."""
        paths.prepare(self._here)
        turn = self._here.state / "watch.lock"
        with lock.hold(turn, environment=self._environment.name, why="watch", since=jsonl.now()):
            self._log(f"following {self._source.url}")
            self._lost = self._gone()
            while not self._stopping.is_set():
                if not self._step():
                    self._stopping.wait(every_s)
            self._log("no longer followed")

    def _step(self) -> bool:
        """Look, and do one thing. Return whether it was done; a full disk or the like is waited for."""
        try:
            if self._lost and not self._bring_back(self._lost):
                return False
            self._lost = None
            self._tags.look()
            request = self._tags.next()
            done = request is not None and self._fulfil(request)
        except (GaiaError, OSError) as error:
            if str(error) != self._trouble:
                self._log(f"trying again: {error}")
            self._trouble = str(error)
            return False
        self._trouble = ""
        return done

    def _gone(self) -> str | None:
        """Return the phase of what is on record while nothing runs, as after a reboot; else None."""
        last = supervisor_state.read(self._here.record)
        if last is None or last.release is None or last.supervisor.alive or (last.server and last.server.alive):
            return None
        return Path(last.release).name.rpartition("-")[0]

    def _bring_back(self, phase: str) -> bool:
        """Let the release on record serve again, wherever its tag is by now. False: try it later."""
        self._log(f"{phase}: its server is gone; bringing it back")
        finished = self._run(phase, "status", str(self._environment.path), "--repair")
        if finished is None:
            return False
        code, message = finished
        state = "is back" if code == 0 else "cannot be brought back"
        why = f"it serves at {self._environment.local_url}" if code == 0 else message
        if code:
            self._tags.note(phase, "watch", "failed", why=message)
        self._log(f"{phase}: {state}: {why}")
        notify.send(
            self._environment, phase, notify.Message(f"{self._environment.name}: {phase} {state}", why, code == 0)
        )
        return True

    def _fulfil(self, request: TagRequest) -> bool:
        """Deploy, or gate what was deployed. Return False where it has to be tried again later."""
        return self._gate(request) if request.deployed else self._deploy(request)

    def _deploy(self, request: TagRequest) -> bool:
        """Run `gaia deploy` to its end, also after a signal to stop: half a deployment is nobody's wish."""
        self._log(f"{request.phase}: deploying {request.commit[:12]}")
        finished = self._run(
            request.phase, "deploy", str(self._environment.path), request.phase, "--remote", self._source.url
        )
        if finished is None:
            return False
        code, message = finished
        if code == 0:
            self._tags.deployed(request)
        else:
            self._tags.note(request.phase, "watch", "failed", commit=request.commit, why=message)
            self._tags.done(request)
        self._log(f"{request.phase}: {message}")
        return True

    def _run(self, phase: str, word: str, *words: str) -> tuple[int, str] | None:
        """Run a `gaia` command to its end; return its exit code and last words, None when it has to be tried again."""
        log = self._here.logs / "deploy.log"
        command = (sys.executable, "-m", "gaia_checks.cli", word, *words)
        code = self._start(command, log, **{git_command.REPOSITORY: str(self._source.mirror)}).wait()
        message = log_rotation.last_line(log).removeprefix("gaia: ").removeprefix(f"{self._environment.name}: ")
        killed = f"gaia {word} was stopped by signal {-code}" if code < 0 else None
        if killed or (code == Busy.exit_code and message.startswith(("busy: ", "remote away: "))):
            self._log(f"{phase}: trying again: {killed or message}")
            return None
        return code, message

    def _gate(self, request: TagRequest) -> bool:
        """Run the gate and record where its evidence is."""
        self._log(f"{request.phase}: gating")
        latest = self._environment.reports / self._environment.name / "latest"
        before, log = latest.resolve(), self._here.logs / "gate.log"
        own = () if PROJECT == ROOT else ("-c", MARKER)
        gate = self._start((sys.executable, "-m", "pytest", *own, f"--env={self._environment.path}"), log)
        code = self._end_of(gate)
        if code is None:
            return False  # the next watch repeats it
        if code == Busy.exit_code and "another gate is running" in log.read_text(errors="replace"):
            self._log(f"{request.phase}: trying again: another gate is running")
            return False
        state, why = self._record(request, latest.resolve() if latest.resolve() != before else None, code, log)
        self._log(f"{request.phase}: gated: {state}; {why}")
        title = f"{self._environment.name}: {request.phase} gated: {state}"
        notify.send(self._environment, request.phase, notify.Message(title, why, good=code == 0))
        self._tags.done(request)
        return True

    def _end_of(self, gate: subprocess.Popen[bytes]) -> int | None:
        """Return the gate's exit code; None when a signal stopped us, and we interrupted it."""
        while (code := gate.poll()) is None:
            if self._stopping.wait(_POLL_S):
                gate.send_signal(signal.SIGINT)
                try:
                    gate.wait(_INTERRUPTED_GATE_S)
                except subprocess.TimeoutExpired:
                    os.killpg(gate.pid, signal.SIGKILL)
                    gate.wait()
                return None
        return code

    def _record(self, request: TagRequest, folder: Path | None, code: int, log: Path) -> tuple[str, str]:
        """Let the ledger point to the evidence; return what it says and where it is."""
        try:
            if folder is None:
                raise EvidenceError(f"the gate left no evidence (exit code {code}); {log} says why")
            state = record.note_gate(self._environment, request.phase, request.commit, folder)
        except EvidenceError as error:
            self._tags.note(request.phase, "gate", "inconclusive", commit=request.commit, why=str(error))
            return "inconclusive", str(error)
        return state, f"evidence in {folder}; {record.publish_or_say(self._source, folder)}"

    def _log(self, text: str) -> None:
        self._print(printable(self._environment.redact(f"{self._environment.name}: {text}")))

    def _start(self, command: Sequence[str], log: Path, **variables: str) -> subprocess.Popen[bytes]:
        """Start a command that may outlive us. It writes to a file: a pipe would break when we are killed."""
        folders = {
            "GAIA_HOME": str(self._environment.home),
            "GAIA_LOG_DIR": str(self._environment.log_dir),
            "GAIA_REPORTS": str(self._environment.reports),
        }
        descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            return subprocess.Popen(
                command, cwd=PROJECT, env=inherited(**folders, **variables), stdin=subprocess.DEVNULL,
                stdout=descriptor, stderr=descriptor, start_new_session=True,
            )  # fmt: skip
        finally:
            os.close(descriptor)

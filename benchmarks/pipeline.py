"""The whole pipeline on one machine: three environments with a key each, three watchers, two people, one git remote.

    python -m benchmarks.pipeline [--keep]          (make rehearsal)

A release goes from dev by qa to prod, with real tags, gates, sign-offs and statements. A second one drops WebSockets,
which only qa's gate can observe: it stops there. A tag forged for prod is refused, and prod is rolled back. Windows are
short, in criteria of its own: what is shown is the pipeline, not what a release is worth. Prod is not gated: a third
gate would take the time of both others.
"""

import argparse
import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from benchmarks import pipeline_page
from gaia_checks.deploy.git.git_remote import GitRemote
from gaia_checks.deploy.release import build
from gaia_checks.deploy.supervisor.spawn import free_port
from gaia_checks.environment.project import ROOT
from gaia_checks.promotion.statements import statements_ref

STAGES = {"dev": "develop", "qa": "qa", "prod": "main"}
PEOPLE = {
    "ada": "gaia-sign-off/*@v1,gaia-force/*@v1,git",
    "grace": "gaia-sign-off/prod/qa@v1,gaia-sign-off/prod/rollback@v1",
}
ITEMS = {"qa": ("maintainer",), "prod": ("maintainer", "performance", "incident-plan", "ops-trained", "qa", "rollback")}
SHORT: Mapping[str, Mapping[str, float]] = {
    "health": {"requests": 10},
    "log": {"window_s": 5},
    "limits": {"window_s": 65},
    "soak": {"window_s": 60},
    "load": {"rate_per_s": 200, "window_s": 36, "max_window_s": 36, "failing_burst_s": 0.001, "slow_burst_s": 0.001},
    "memory": {"window_s": 60},
    "connections": {"window_s": 40},
    "protection": {"rate_per_s": 240, "window_s": 50, "slow_burst_s": 0.001},
}
FAULT = ("asyncio.wait({reading, writing}, return_when", "asyncio.wait({reading, writing}, timeout=20, return_when")
"""A fault of the server's source that only a soak observes."""

GATE_S = 600.0
FORGET = """
import sys
from gaia_checks.environment import environment_file
from gaia_checks.deploy.postgres import embedded
embedded.of(environment_file.load(sys.argv[1])).remove()
"""
"""Deletes the data of an environment's PostgreSQL, which may be elsewhere than its home."""


@dataclass
class Pipeline:
    """The folder of everything (remote, checkout, keys, machines), and what runs there."""

    folder: Path
    alerts: list[str] = field(default_factory=list)
    alert_port: int = 0
    watchers: list["subprocess.Popen[bytes]"] = field(default_factory=list)
    started_s: float = field(default_factory=time.monotonic)

    @property
    def project(self) -> Path:
        """The checkout that people work in, and that gates measure with."""
        return self.folder / "project"

    @property
    def url(self) -> str:
        """The git remote."""
        return f"file://{self.folder / 'remote.git'}"

    def say(self, text: str) -> None:
        """Narrate."""
        print(f"{time.monotonic() - self.started_s:6.0f} s  {text}", flush=True)

    def git(self, *words: str) -> str:
        """Run git in the checkout."""
        identity = ("-c", "user.name=dev", "-c", "user.email=dev@example.test", "-c", "commit.gpgsign=false")
        done = subprocess.run(("git", *identity, *words), cwd=self.project, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"git {' '.join(words)}: {done.stderr}")
        return done.stdout.strip()

    def variables(self, stage: str, who: str) -> dict[str, str]:
        """Return the environment of a command: every stage is a machine of its own."""
        home = self.folder / "machines" / stage
        return {
            **os.environ,
            "GAIA_HOME": str(home), "GAIA_LOG_DIR": str(home / "log"), "GAIA_REPORTS": str(home / "reports"),
            "GAIA_SIGNING_KEY": str(self.folder / "keys" / who), "GAIA_ALERTS": self.alert_url,
        }  # fmt: skip

    @property
    def alert_url(self) -> str:
        """Where alerts are delivered."""
        return f"json://127.0.0.1:{self.alert_port}/"

    def gaia(self, *words: str, stage: str = "qa", who: str = "ada") -> "subprocess.CompletedProcess[str]":
        """Run a `gaia` command as a person, and show it."""
        shown = ["gaia", *(word for word in words if word not in ("--remote", self.url))]
        done = subprocess.run(
            (sys.executable, "-m", "gaia_checks.cli", *words), cwd=self.project, env=self.variables(stage, who),
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        self.say(f"{who}$ {' '.join(shown)}")
        for line in (done.stdout + done.stderr).splitlines():
            print(f"            {line}", flush=True)
        return done

    def must(self, *words: str, stage: str = "qa", who: str = "ada") -> str:
        """Run a command that has to succeed."""
        done = self.gaia(*words, stage=stage, who=who)
        if done.returncode:
            raise SystemExit(f"gaia {' '.join(words)} returned {done.returncode}")
        return done.stdout

    def ledger(self, stage: str, step: str, phase: str) -> list[str]:
        """Return the events of a step, oldest first."""
        path = self.folder / "machines" / stage / "log" / "deployments.log"
        lines = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
        return [line["event"] for line in lines if (line["step"], line["phase"]) == (step, phase)]

    def wait(self, stage: str, step: str, phase: str, event: str) -> None:
        """Return when the ledger of a stage has the event; end when it has another, or a watcher died."""
        deadline_s = time.monotonic() + GATE_S
        while not (found := self.ledger(stage, step, phase)):
            if time.monotonic() > deadline_s or any(one.poll() is not None for one in self.watchers):
                raise SystemExit(f"{stage}: no {step} of {phase}; see {self.folder}/machines/{stage}/log")
            time.sleep(0.2)
        self.say(f"{stage}: {step} of {phase}: {found[-1]}")
        if found[-1] != event:
            self.explain(stage)
            raise SystemExit(f"{stage}: expected {event}; --keep leaves {self.folder}/machines/{stage}")

    def explain(self, stage: str) -> None:
        """Print what the newest gate of a stage did not pass, with the reasons."""
        verdict = self.folder / "machines" / stage / "reports" / stage / "latest" / "verdict.json"
        for criterion in json.loads(verdict.read_text())["criteria"] if verdict.exists() else []:
            if criterion["state"] not in ("pass", "not applicable"):
                print(f"            {criterion['state']}  {criterion['id']}  {criterion['why']}", flush=True)


def main() -> None:
    """Build the pipeline, let releases run through it, and leave nothing behind."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pipeline", description=__doc__.splitlines()[0])
    parser.add_argument("--keep", action="store_true", help="leave the folder, and do not stop what runs")
    keep = parser.parse_args().keep
    folder = Path(tempfile.mkdtemp(prefix="gaia-pipeline-"))
    folder.chmod(0o711)
    pipeline = Pipeline(folder)
    with receiver(pipeline):
        try:
            rehearse(pipeline)
        finally:
            if not keep:
                clear(pipeline)


def rehearse(pipeline: Pipeline) -> None:
    """Let releases run through the pipeline."""
    remote = ("--remote", pipeline.url)
    pipeline.say(f"a git remote, a checkout, keys and three environments in {pipeline.folder}")
    prepare(pipeline)
    pipeline.say("prod's first release is older than the gates: it is forced, signed, and stays visible as forced")
    release(pipeline, "phase-0", "the first release")
    first(pipeline)
    release(pipeline, "phase-1", "a good release")
    watch(pipeline, "dev")
    pipeline.wait("dev", "gate", "phase-1", "pass")
    enter(pipeline, "qa", "phase-1")
    watch(pipeline, "qa")
    pipeline.wait("qa", "gate", "phase-1", "pass")
    enter(pipeline, "prod", "phase-1")
    deploy(pipeline, "phase-1")
    pipeline.must("verdict", "verify", "deploy/prod/phase-1", *remote, stage="prod")
    release(pipeline, "phase-2", "drops WebSockets after 20 s", fault=FAULT)
    pipeline.wait("dev", "gate", "phase-2", "pass")
    enter(pipeline, "qa", "phase-2")
    pipeline.wait("qa", "gate", "phase-2", "fail")
    expect("qa: phase-2 gated: fail" in pipeline.alerts, "an alert about the failure")
    pipeline.say(f"alert delivered: {pipeline.alerts[-1]}")
    expect(pipeline.gaia("promote", "phase-2", "--to", "prod", *remote).returncode == 1, "a refused promotion")
    pipeline.say("somebody pushes the tag for prod by hand")
    tag(pipeline, "deploy/prod/phase-2")
    watch(pipeline, "prod")
    pipeline.wait("prod", "watch", "phase-2", "failed")
    expect("phase-1" in pipeline.must("status", "prod", stage="prod"), "phase-1 in service")
    for watcher in pipeline.watchers:
        watcher.terminate()
    pipeline.must("rollback", "prod", stage="prod")
    expect("phase-0" in pipeline.must("status", "prod", stage="prod"), "phase-0 in service")
    page = draw(pipeline)
    pipeline.say("a good release is in prod by signatures alone, a bad one stopped in qa, a forged one was refused")
    pipeline.say(f"drawn in {page}")


def draw(pipeline: Pipeline) -> Path:
    """Write the page with every stage and release; return its path."""
    mirror = GitRemote(pipeline.url, pipeline.folder / "page.git")
    statements_ref.fetch(mirror)
    allowed = (pipeline.project / "environments" / "allowed_signers").read_text()
    phases = ("phase-0", "phase-1", "phase-2")
    return pipeline_page.write(ROOT / "reports" / "rehearsal", mirror, allowed, pipeline.folder / "machines", phases)


def first(pipeline: Pipeline) -> None:
    """Force the first release into qa and prod, and deploy it there by hand."""
    for stage in ("qa", "prod"):
        why = ("--force", "--by", "ada@example.test", "--why", "the first release of all")
        pipeline.must("promote", "phase-0", "--to", stage, *why, "--remote", pipeline.url, stage=stage)
    deploy(pipeline, "phase-0")


def deploy(pipeline: Pipeline, phase: str) -> None:
    """Deploy to prod by hand: its watcher, which would gate it beside the other gates, starts at the end."""
    pipeline.git("fetch", "--quiet", "--tags")
    pipeline.must("deploy", "prod", phase, stage="prod")


def expect(condition: bool, what: str) -> None:
    """End when something is not as it should be."""
    if not condition:
        raise SystemExit(f"expected: {what}")


def enter(pipeline: Pipeline, stage: str, phase: str) -> None:
    """Sign every item of the list, and promote."""
    remote = ("--remote", pipeline.url)
    for item in ITEMS[stage]:
        who = "grace" if item in ("qa", "rollback") else "ada"
        pipeline.must("sign-off", stage, phase, "--item", item, *remote, stage=stage, who=who)
    pipeline.must("checklist", stage, phase, *remote, stage=stage)
    pipeline.must("promote", phase, "--to", stage, *remote, stage=stage)


def prepare(pipeline: Pipeline) -> None:
    """Make the remote, the checkout with short criteria, the environments, and who may sign."""
    subprocess.run(("git", "clone", "--quiet", str(ROOT), str(pipeline.project)), check=True)
    subprocess.run(("git", "init", "--quiet", "--bare", str(pipeline.folder / "remote.git")), check=True)
    pipeline.git("remote", "set-url", "origin", pipeline.url)
    pipeline.git("checkout", "--quiet", "-B", "pipeline")
    (pipeline.folder / "keys").mkdir()
    signers = []
    for who in (*(f"gate-{stage}" for stage in STAGES), *PEOPLE):
        key = pipeline.folder / "keys" / who
        subprocess.run(("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", who, "-f", str(key)), check=True)
        namespaces = PEOPLE.get(who) or f"gaia-verdict/{who.removeprefix('gate-')}@v1"
        public = " ".join(key.with_suffix(".pub").read_text().split()[:2])
        signers.append(f'{who}@example.test namespaces="{namespaces}" {public}\n')
    environments = pipeline.project / "environments"
    (environments / "allowed_signers").write_text("".join(signers))
    for stage in STAGES:
        (environments / f"{stage}.toml").write_text(environment(stage, free_port(), pipeline.url))
    criteria = pipeline.project / "gaia_checks" / "judge" / "criteria.toml"
    criteria.write_text(shortened(criteria.read_text()))
    for cached in (ROOT / "build").glob(".dependencies-*"):  # so that nothing is downloaded again
        shutil.copytree(cached, pipeline.project / "build" / cached.name)


def environment(stage: str, port: int, url: str) -> str:
    """Return an environment file with a PostgreSQL of its own."""
    return (
        f'[environment]\nstage = "{stage}"\ndatabase = "embedded"\nhost = "127.0.0.1"\n'
        f'base_url = "http://127.0.0.1:{port}"\nremote = "{url}"\nalerts = "GAIA_ALERTS"\n'
        f'[environment.defaults]\nPORT = "{port}"\nRATE_LIMIT_ENABLED = "true"\n'
    )


def shortened(criteria: str) -> str:
    """Return criteria.toml with short windows. Pure."""
    for look, parameters in SHORT.items():
        start = criteria.index(f"[looks.{look}]")
        end = criteria.index("\n[", start)
        section = criteria[start:end]
        for name, value in parameters.items():
            section = re.sub(rf"(?m)^{name} = .*$", f"{name} = {value}", section)
        criteria = criteria[:start] + section + criteria[end:]
    return criteria


def release(pipeline: Pipeline, phase: str, what: str, fault: tuple[str, str] | None = None) -> None:
    """Build the checkout's server, with a fault in its source if given; commit it to every branch, tag it for dev."""
    pipeline.say(f"{phase}: {what}: built, committed, tagged deploy/dev/{phase}")
    if fault:
        source = pipeline.project / "gaia_server" / "http" / "websocket.py"
        correct = source.read_text()
        expect(correct.count(fault[0]) == 1, f"{fault[0]!r} once in {source.name}, to break the release there")
        source.write_text(correct.replace(*fault))
    with (pipeline.project / "gaia_server" / "__init__.py").open("a") as file:
        file.write(f"# {phase}\n")  # so that its bytes are its own
    build.build(pipeline.project)
    pipeline.git("add", "--all")
    pipeline.git("add", "--force", "build/gaia_server")
    pipeline.git("commit", "--quiet", "--message", f"{phase}: {what}")
    pipeline.git("push", "--quiet", "origin", *(f"HEAD:refs/heads/{branch}" for branch in STAGES.values()))
    tag(pipeline, f"deploy/dev/{phase}")


def tag(pipeline: Pipeline, name: str) -> None:
    """Cut and push a tag by hand, without a signature."""
    pipeline.git("tag", "--annotate", "--no-sign", "--message", name, name, "HEAD")
    pipeline.git("push", "--quiet", "origin", f"refs/tags/{name}")


def watch(pipeline: Pipeline, *stages: str) -> None:
    """Start a watcher for each environment."""
    for stage in stages:
        command = (sys.executable, "-m", "gaia_checks.cli", "watch", "--env", stage, "--every", "0.5")
        with (pipeline.folder / f"watch-{stage}.log").open("wb") as output:
            watcher = subprocess.Popen(
                command, cwd=pipeline.project, env=pipeline.variables(stage, f"gate-{stage}"),
                stdout=output, stderr=output,
            )  # fmt: skip
        pipeline.watchers.append(watcher)


@contextlib.contextmanager
def receiver(pipeline: Pipeline) -> Iterator[None]:
    """Receive alerts while the block runs."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            pipeline.alerts.append(body["title"])
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    pipeline.alert_port = server.server_port
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield
    finally:
        server.shutdown()


def clear(pipeline: Pipeline) -> None:
    """Stop watchers and servers, and remove the folder."""
    for watcher in pipeline.watchers:
        watcher.terminate()
        watcher.wait()
    for stage in STAGES:
        for command in (("-m", "gaia_checks.cli", "stop", stage), ("-c", FORGET, stage)):
            subprocess.run(
                (sys.executable, *command), cwd=pipeline.project, env=pipeline.variables(stage, "ada"),
                capture_output=True, check=False,
            )  # fmt: skip
    for path in pipeline.folder.rglob("*"):
        if path.is_dir() and not path.is_symlink():
            path.chmod(0o755)
    shutil.rmtree(pipeline.folder)


if __name__ == "__main__":
    main()

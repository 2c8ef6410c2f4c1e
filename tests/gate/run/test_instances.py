"""Several servers behind a real load balancer: as one they pass, and the one that differs is named."""

import json
import os
import re
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from gaia_checks import jsonl
from gaia_checks.deploy.migrations import runner
from gaia_checks.deploy.supervisor.spawn import free_port
from tests.docs.test_targets_page import behind_a_load_balancer
from tests.support import altered_server, haproxy, plain_http
from tests.support.ground import ROOT, Ground, Outcome, ground, until
from tests.support.postgres import fresh

TOKEN = "a-token-of-sixteen"
LOOKS = "[looks.instances]\nwindow_s = 8\ninterval_s = 0.5\n"
TESTS = ("--stage=prod", "--complete", "-k", "instances or memory")

GROWS = (
    "http/routes.py",
    '"""Report the health of this server and its database."""',
    "_kept.extend([b'x' * 120_000_000][len(_kept) // 6 :])",
)
KEPT = ("http/routes.py", "async def health(", "_kept: list[bytes] = []\n\n\nasync def health(")
"""Each of the first answers of /health keeps 120 MB, of six."""


@dataclass
class Instance:
    """One server process, which may be started again on its port."""

    executable: Path
    database: str
    port: int = field(default_factory=free_port)
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it; return when it is ready."""
        variables = {"DATABASE_URL": self.database, "PORT": str(self.port), "ADMIN_TOKEN": TOKEN}
        self.process = subprocess.Popen(
            (str(self.executable),), env={"PATH": os.environ["PATH"], **variables}, stderr=subprocess.DEVNULL
        )
        until(self._ready)

    def kill(self) -> None:
        """End it at once."""
        if self.process:
            self.process.kill()
            self.process.wait()

    def _ready(self) -> bool:
        with suppress(httpx.TransportError):
            return plain_http.get(f"{self.url}/readyz", trust_env=False).is_success
        return False


@pytest.fixture(scope="module")
def databases(postgres: str) -> Iterator[tuple[str, str]]:
    """Two databases with all migrations."""
    with fresh(postgres) as one, fresh(postgres) as other:
        for each in (one, other):
            runner.up(each, ROOT / "migrations")
        yield one, other


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The server as one executable file."""
    return altered_server.write(tmp_path_factory.mktemp("released") / "server")


@contextmanager
def balanced(instances: Sequence[Instance], load: str = "", **variables: str) -> Iterator[tuple[Ground, Path]]:
    """Run the instances behind a load balancer; yield a ground and an environment file that names them all."""
    try:
        for each in instances:
            each.start()
        addresses = [each.url for each in instances]
        with haproxy.before(addresses) as url, ground(database="external", ADMIN_TOKEN=TOKEN, **variables) as place:
            file = place.environment_file(
                base_url=url, keys=f"instances = {json.dumps(addresses)}", tables=LOOKS, load=load
            )
            yield place, file
    finally:
        for each in instances:
            each.kill()


def timeline(place: Ground) -> str:
    """What the newest gate has recorded of the instances so far."""
    path = place.latest / "timelines" / "instances.jsonl"
    return path.read_text() if path.exists() else ""


def reasons(outcome: Outcome, criterion: str) -> str:
    """Why each check of a criterion did not pass, and what is measured of it."""
    checks = next(each for each in outcome.verdict["criteria"] if each["id"] == criterion)["checks"]
    return "\n".join(check["why"] for check in checks if check["state"] != "pass")


def notes(outcome: Outcome, measurement: str) -> str:
    """What a measurement notes of its faults."""
    lines = map(json.loads, (outcome.folder / "measurements.jsonl").read_text().splitlines())
    return "\n".join(note for line in lines if line["name"] == measurement for note in line["notes"])


def test_three_that_are_the_same_pass(databases: tuple[str, str], released: Path) -> None:
    """Identity, limits, rules and events are judged across them, memory by each; the evidence names them."""
    with balanced([Instance(released, databases[0]) for _ in range(3)]) as (place, file):
        outcome = place.gate(file, *TESTS)
        doctor = place.run("gaia_checks.cli", "doctor", str(file)).stdout
        dry_run = place.run("pytest", f"--env={file}", "--dry-run", "--stage=qa").stdout
        sealed = (outcome.folder / "environment.toml").read_text()
    assert {outcome.states[name] for name in ("qa.instances", "prod.memory")} == {"pass"}, outcome.not_passed()
    checks = next(each for each in outcome.verdict["criteria"] if each["id"] == "qa.instances")["checks"]
    assert checks[0]["why"].startswith("3 of 3 correct (instances that run version ")
    assert [check["n"] for check in checks[3:]] == [8, 12, 3]
    memory = next(each for each in outcome.verdict["criteria"] if each["id"] == "prod.memory")["checks"]
    assert [check["measurement"] for check in memory] == ["memory.peak"] * 3 + ["memory.series"] * 3
    assert 'instances = [\n    "http://127.0.0.1:' in sealed
    for output in (outcome.output, doctor, dry_run):
        assert "instances          3 behind http://127.0.0.1:" in output
    assert re.search(r"^instances +qa\.instances +target", dry_run, re.MULTILINE)


OUTSIDE = {
    "dev.database", "dev.health", "dev.api", "dev.websocket", "qa.figures", "qa.access", "qa.identity",
    "qa.websocket_soak", "prod.monitoring",
}  # fmt: skip
"""What three of a kind pass on any machine."""

PAGE = behind_a_load_balancer()
"""Criterion -> its state in the table of docs/targets.md, and what judges it or why nothing does."""

STARVED = (
    "is undecided",
    "the load generator is unreliable",
    "observed ",
    "samples",
    "fast enough",
    "kept this machine busy",
)
"""Why the rest is undecided in windows this short, or on a machine that has no time for it."""


def test_a_whole_gate_of_three_judges_all_that_is_seen_from_outside(databases: tuple[str, str], released: Path) -> None:
    """Every criterion of prod passes behind the load balancer, or says what cannot be observed there."""
    three = [Instance(released, databases[0]) for _ in range(3)]
    with balanced(three, "rate_per_s = 10\n", DATABASE_URL=databases[0]) as (place, file):
        gate = place.start("pytest", f"--env={file}", "--stage=prod", "--complete", "-k", "not dashboard")
        output, _ = gate.communicate(timeout=600)
        verdict = json.loads((place.latest / "verdict.json").read_text())
        shared = [each for each in jsonl.read(place.latest / "measurements.jsonl") if each["name"] in SHARED]
    outcome = Outcome(gate.returncode, output, place.latest, verdict)
    whys = outcome.not_passed()
    assert outcome.code == 8, output[-3000:]
    assert {name: whys[name] for name in OUTSIDE & whys.keys()} == {}
    unjudged = {name: pattern(*row) for name, row in PAGE.items() if row[0] != "judged"}
    assert {name: whys.get(name) for name, why in unjudged.items() if not re.match(why, whys.get(name, "pass"))} == {}
    rest = PAGE.keys() - unjudged.keys() - OUTSIDE - {"qa.dashboard"}
    assert rest == {
        "qa.load", "qa.rate_limiting", "qa.instances", "prod.success_rate", "prod.latency", "prod.memory",
        "prod.connections", "prod.protection",
    }  # fmt: skip
    undecided = {name: whys[name] for name in rest & whys.keys()}
    assert {name: why for name, why in undecided.items() if not any(starved in why for starved in STARVED)} == {}
    assert {each["name"]: (each["value"], each["n"]) for each in shared} == SHARED


def pattern(state: str, text: str) -> str:
    """What matches a state and its reason as a gate prints them; the page writes `...` for an address."""
    return f"{state}: .*" + re.escape(text.split("`")[1]).replace(r"\.\.\.", ".+")


SHARED = {"instances.limits": (8, 8), "instances.rules": (12, 12), "instances.events": (3, 3)}
"""What three instances must share -> good samples, of all."""


def test_another_build_a_leak_and_a_restart_are_named(
    databases: tuple[str, str], released: Path, tmp_path: Path
) -> None:
    """Each by the address of its instance; the third is restarted while the gate runs."""
    leaking = altered_server.write(tmp_path / "leaking", GROWS, KEPT)
    same, other, restarted = (Instance(each, databases[0]) for each in (released, leaking, released))
    with balanced((same, other, restarted)) as (place, file):
        gate = place.start("pytest", f"--env={file}", *TESTS)
        until(lambda: '"healthy"' in timeline(place))
        restarted.kill()
        restarted.start()
        output, _ = gate.communicate(timeout=120)
        verdict = json.loads((place.latest / "verdict.json").read_text())
    outcome = Outcome(gate.returncode, output, place.latest, verdict)
    assert outcome.states["qa.instances"] == outcome.states["prod.memory"] == "fail", output[-3000:]
    said = reasons(outcome, "qa.instances")
    assert "1 of 3 wrong (instances that run version " in said
    assert f"{other.url} runs digest " in said
    assert f"{restarted.url} was restarted: " in said
    assert same.url not in said
    assert f"required: at most 500 MB; {other.url}" in reasons(outcome, "prod.memory")


def test_another_database_and_an_absent_one_are_named(databases: tuple[str, str], released: Path) -> None:
    """Limits, rules and events are not shared with the one; the other does not answer."""
    instances = [Instance(released, database) for database in (databases[0], databases[0], databases[1])]
    with balanced(instances) as (place, file):
        apart = place.gate(file, *TESTS)
        limits, rules, events = (notes(apart, f"instances.{name}") for name in ("limits", "rules", "events"))
        instances[2].kill()
        absent = place.gate(file, *TESTS)
    alone = instances[2].url
    assert apart.states["qa.instances"] == absent.states["qa.instances"] == "fail", apart.output[-3000:]
    assert f"{alone}: admitted after a client's 12 requests to all in turn" in reasons(apart, "qa.instances")
    assert "to all instances in turn were admitted under a rule of 12" in limits
    assert f"{alone}: admitted after a client's 12 requests to all at once" in limits
    assert f"{alone}: admitted against a rule that {instances[1].url} had made 1 s before" in rules
    assert f"{alone}: WebSocket: a refusal on {instances[1].url} did not arrive" in events
    assert f"{alone}, 0 s after the start: no answer: ConnectError" in reasons(absent, "qa.instances")

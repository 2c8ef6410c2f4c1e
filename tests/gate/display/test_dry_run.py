"""What a gate would send where: told without sending anything, and never taken for a pass."""

import string
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gaia_checks.gate.display import dry_run
from gaia_checks.gate.display.sends import COPY, GATE, SENDS
from gaia_checks.judge import criteria
from gaia_checks.model import Names, Target
from gaia_checks.probes import api
from gaia_checks.probes.monitoring import monitoring_probe
from gaia_checks.probes.rehearsal import quotas
from tests.probes.conftest import release, server
from tests.probes.servers import serving
from tests.support.ground import Ground, ground

__all__ = ["release", "server"]

LOOKS = criteria.load().looks


def test_every_look_says_what_it_would_send() -> None:
    """A look without a sentence would be done without a word; a sentence without a look is about nothing."""
    assert SENDS.keys() == LOOKS.keys()


@pytest.mark.parametrize("look", SENDS)
def test_a_sentence_names_all_that_its_look_may_be_told(look: str) -> None:
    """So that no parameter is added without a word about it."""
    named = {name for _, name, _, _ in string.Formatter().parse(SENDS[look].what) if name}
    assert named == LOOKS[look].keys()


def rows(stage: str, names: Names | None = None, **changed: float) -> dict[str, dry_run.Row]:
    """The plan of a stage, with parameters of the load changed."""
    loaded = criteria.load(overrides={"load": changed})
    return {row.look: row for row in dry_run.plan(loaded.for_stage(stage), loaded.looks, names or Names())}


def test_the_numbers_are_those_of_the_looks() -> None:
    """Requests by rate and window, the longest that a load may go on, clients of the soak."""
    load, soak, health = (rows("prod", rate_per_s=10, window_s=60)[look] for look in ("load", "soak", "health"))
    assert (load.requests, load.most_requests, load.rules, load.lasts_s) == (600, 10 * 1620, 1, 60)
    assert "10 requests a second for 60 s, or up to 1620 s" in load.what
    assert load.criteria == ("qa.load", "prod.success_rate", "prod.latency")
    assert (soak.connections, soak.lasts_s, health.requests) == (52, 1800, 30)


def test_a_stage_has_the_looks_of_its_criteria() -> None:
    """And the gate's own rule, whatever is looked at."""
    assert set(rows("dev")) == {"gate", "process", "database", "migrations", "health", "api", "websocket", "log"}
    assert set(rows("prod")) == {"gate", *SENDS}
    assert rows("dev")["gate"].requests == GATE.requests({})


def test_paths_are_told_as_the_server_calls_them() -> None:
    """What would be sent, not what the contract calls it."""
    names = Names(paths={"/health": "/healthz", "/api/admin/quotas": "/v2"})
    told = rows("qa", names)
    assert "GET /healthz" in told["health"].what
    assert "reads of /v2 and /healthz" in told["load"].what
    assert "/ws/admin/quotas" in told["websocket"].what


def test_what_runs_on_a_copy_is_told_apart() -> None:
    """It never meets the target itself."""
    loaded = criteria.load()
    (first, *others) = rows("prod").values()
    assert COPY not in str(dry_run.summary([first], loaded.criteria, loaded.looks))
    lines = dry_run.summary([first, replace(others[0], where=COPY)], loaded.criteria, loaded.looks)
    assert lines[-1] == "on a copy beside the target, with a database of its own: process"


@pytest.mark.parametrize(
    ("look", "probe", "more"),
    [("api", api.probe, 0), ("quotas", quotas.live, 0), ("monitoring", monitoring_probe.probe, 5)],
)
def test_what_was_counted_by_hand_is_what_is_sent(
    server: Target, look: str, probe: Callable[[Target], object], more: int
) -> None:
    """The server's own count of requests; a scrape may have to be repeated."""
    before = requests_to(server)
    probe(server)
    assert 0 <= requests_to(server) - before + scrapes(look) - SENDS[look].requests({}) <= more


def scrapes(look: str) -> int:
    """How many requests to /metrics, which `requests_to` leaves out, a look sends at least."""
    return 2 if look == "monitoring" else 0


def requests_to(server: Target) -> int:
    """How many requests the server has answered, but for those that ask for this."""
    samples = httpx.get(f"{server.base_url}/metrics", trust_env=False).text.splitlines()
    counted = [line for line in samples if line.startswith("gaia_http_requests_total{") and "/metrics" not in line]
    return sum(int(float(line.rpartition(" ")[2])) for line in counted)


# from the command line -------------------------------------------------------------------------------


@pytest.fixture
def watched() -> Iterator[tuple[str, list[str]]]:
    """A server that answers everything, and what it was asked."""
    asked: list[str] = []

    async def answer(request: Request) -> Response:
        asked.append(request.url.path)
        return Response()

    with serving(Route("/{path:path}", answer, methods=["GET", "POST", "PUT", "DELETE"])) as url:
        yield url, asked


@pytest.fixture
def place() -> Iterator[Ground]:
    """A machine where nothing is deployed, with canaries among its variables."""
    secrets = {"ADMIN_TOKEN": "canary-token", "DATABASE_URL": "postgresql://gaia:canary-password@db.qa/gaia"}
    with ground(database="external", **secrets) as made:
        yield made


def test_a_dry_run_sends_nothing_writes_nothing_and_does_not_pass(
    place: Ground, watched: tuple[str, list[str]]
) -> None:
    """Exit code 8; the server is not asked, no folder is made; where and how much is told without a secret."""
    url, asked = watched
    file = place.environment_file(base_url=url, keys='log = "ssh://me@qa/var/log/x.log"\n')
    before = sorted(place.folder.rglob("*"))
    done = place.run("pytest", f"--env={file}", "--stage=prod", "--dry-run", "-n", "2")
    assert done.returncode == 8, done.stdout + done.stderr
    assert asked == []
    assert sorted(place.folder.rglob("*")) == before
    for told in (
        "stage prod: 19 criteria; nothing is sent",
        "10 x GET /health, 0.02 s apart",
        f"target: {url}, with an ADMIN_TOKEN",
        "log: ssh://me@qa/var/log/x.log",
        "database: gaia on db.qa, read only",
        "process: the server's process cannot be observed from here",
        "nothing was looked at",
    ):
        assert told in done.stdout
    assert "canary" not in done.stdout + done.stderr


def test_a_dry_run_says_that_there_is_no_server(place: Ground) -> None:
    """As the gate would."""
    done = place.run("pytest", f"--env={place.environment_file()}", "--dry-run")
    assert done.returncode == 8, done.stdout + done.stderr
    assert "target: none: ground: no server is deployed on this machine" in done.stdout


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--dry-run",), "--dry-run needs --env: pytest --env=NAME --dry-run"),
        (("--dry-run", "--env=nowhere"), "nowhere: no such environment"),
        (("--dry-run", "--env=local", "--stage=x"), "--stage: 'x' is not a stage"),
    ],
)
def test_a_wrong_command_is_one_clear_line(place: Ground, options: tuple[str, ...], message: str) -> None:
    """Exit code 4."""
    done = place.run("pytest", *options)
    assert done.returncode == 4, done.stdout + done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stdout + done.stderr


@pytest.mark.parametrize(
    "key",
    [
        'base_url = "http://me:canary-in-file@127.0.0.1:9"',
        'log = "ssh://me:canary-in-file@qa/x"',
        'rehearsal_host = "ssh://me:canary-in-file@qa"',
    ],
)
def test_a_secret_in_an_address_is_refused_and_told_nowhere(place: Ground, key: str) -> None:
    """Neither in the message nor in any file: there is no gate."""
    file = place.environment_file(keys=f"{key}\n")
    done = place.run("pytest", f"--env={file}")
    assert done.returncode == 4, done.stdout + done.stderr
    assert f"ground.toml: environment.{key.partition(' ')[0]}: " in done.stderr
    assert "canary-in-file" not in done.stdout + done.stderr
    assert not Path(place.folder / "reports").exists()

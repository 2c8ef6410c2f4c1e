"""The dry run: it shows what a gate would send where, sends nothing, and never passes."""

import string
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gaia_checks.environment import environment_file
from gaia_checks.environment.environment import LoadSettings
from gaia_checks.gate.display import dry_run
from gaia_checks.gate.display.sends import COPY, GATE, LOAD_RATE, SENDS
from gaia_checks.judge import criteria_file
from gaia_checks.model import Names, Target
from gaia_checks.probes import api, database, health
from gaia_checks.probes.access import access_probe
from gaia_checks.probes.figures import figures_probe
from gaia_checks.probes.identity import identity_probe
from gaia_checks.probes.monitoring import monitoring_probe
from gaia_checks.probes.rehearsal import quotas
from tests.probes.conftest import release, server
from tests.probes.servers import serving
from tests.support import plain_http
from tests.support.ground import Ground, ground

__all__ = ["release", "server"]

LOOKS = criteria_file.load().looks


def test_every_look_has_a_description() -> None:
    """Each look has exactly one description, and each description a look."""
    assert SENDS.keys() == LOOKS.keys()


@pytest.mark.parametrize("look", SENDS)
def test_a_description_names_every_parameter_of_its_look(look: str) -> None:
    """No parameter is added without a description."""
    named = {name for _, name, _, _ in string.Formatter().parse(SENDS[look].what) if name}
    assert named == LOOKS[look].keys()


def rows(stage: str, names: Names | None = None, **changed: float) -> dict[str, dry_run.Row]:
    """Return the plan of a stage, with parameters of the load changed."""
    loaded = criteria_file.load(overrides={"load": changed})
    return {row.look: row for row in dry_run.plan(loaded.for_stage(stage), loaded.looks, names or Names())}


def test_the_numbers_are_those_of_the_looks() -> None:
    """They follow from rate and window, the longest window of a load, and the clients of the soak."""
    load, soak, health = (rows("prod", rate_per_s=10, window_s=60)[look] for look in ("load", "soak", "health"))
    assert (load.requests, load.most_requests, load.rules, load.lasts_s) == (600, 10 * 1620, 1, 60)
    assert "10 requests a second for 60 s, or up to 1620 s" in load.what
    assert load.criteria == ("qa.load", "prod.success_rate", "prod.latency")
    assert (soak.connections, soak.lasts_s, health.requests) == (53, 1800, 50)


def test_a_stage_has_the_looks_of_its_criteria() -> None:
    """The gate's own requests are part of every plan."""
    assert set(rows("dev")) == {"gate", "process", "database", "migrations", "health", "api", "websocket", "log"}
    assert set(rows("prod")) == {"gate", *SENDS}
    assert rows("dev")["gate"].requests == GATE.requests({})


def test_paths_are_those_of_the_server() -> None:
    """The plan shows the mapped paths that would be sent, not the contract's."""
    names = Names(paths={"/health": "/healthz", "/api/admin/quotas": "/v2"})
    planned = rows("qa", names)
    assert "GET /healthz" in planned["health"].what
    assert "reads of /v2 and /healthz" in planned["load"].what
    assert "/ws/admin/quotas" in planned["websocket"].what


def test_looks_on_a_rehearsal_copy_are_listed() -> None:
    """The summary names the looks that run on a rehearsal copy, if there are any."""
    loaded = criteria_file.load()
    (first, *others) = rows("prod").values()
    assert COPY not in str(dry_run.summary([first], loaded.criteria, loaded.looks))
    lines = dry_run.summary([first, replace(others[0], where=COPY)], loaded.criteria, loaded.looks)
    assert lines[-1] == "on a rehearsal copy with its own database: process"


RATE = {LOAD_RATE: 20.0}
PROBES: Mapping[str, tuple[Callable[..., object], range]] = {
    "api": (api.probe, range(1)),
    "quotas": (quotas.live, range(1)),
    "monitoring": (monitoring_probe.probe, range(6)),
    "database": (database.probe, range(1)),
    "health": (partial(health.probe, requests=30, spacing_s=0.02), range(0, 10 * health.ROUND + 1, health.ROUND)),
    "access": (access_probe.probe, range(-30, 31)),
    "identity": (identity_probe.probe, range(-40, 41)),
    "figures": (partial(figures_probe.probe, rate_per_s=RATE[LOAD_RATE]), range(-60, 61)),
}
"""Look -> its probe, and by how many its requests may differ: it tries again, or the description says "about"."""


@pytest.mark.parametrize("look", PROBES)
def test_the_described_number_of_requests_is_sent(server: Target, look: str) -> None:
    """It equals the server's own count of requests, except where a request may have to be repeated."""
    before, (probe, more) = requests_to(server), PROBES[look]
    probe(server)
    described = int(SENDS[look].requests({**LOOKS[look], **RATE}))
    assert requests_to(server) - before + scrapes(look) - described in more


def scrapes(look: str) -> int:
    """Return the minimum number of a look's requests to /metrics, which `requests_to` leaves out."""
    return {"monitoring": 2, "api": 1}.get(look, 0)


def requests_to(server: Target) -> int:
    """Return how many requests the server has answered, except those to /metrics."""
    samples = plain_http.get(f"{server.base_url}/metrics", trust_env=False).text.splitlines()
    counted = [line for line in samples if line.startswith("gaia_http_requests_total{") and "/metrics" not in line]
    return sum(int(float(line.rpartition(" ")[2])) for line in counted)


@pytest.mark.parametrize(
    ("load", "line"),
    [
        (LoadSettings(), "load: sent by one process of this machine, engine locust"),
        (
            LoadSettings("precise", processes=2, locustfile=Path("/mix/ours.py")),
            (
                "load: sent by 2 processes of this machine, engine precise, with the mix of /mix/ours.py in place of "
                "the one above"
            ),
        ),
        (
            LoadSettings(workers=4, master="0.0.0.0:5557", locustfile=Path("/mix/ours.py")),
            (
                "load: sent by 4 workers that join at 0.0.0.0:5557 within 60 s, engine locust, with the mix of "
                "/mix/ours.py in place of the one above; on other machines, start: gaia load worker --master HOST:5557 "
                "--locustfile ours.py"
            ),
        ),
    ],
)
def test_what_would_send_the_load_is_said(load: LoadSettings, line: str) -> None:
    """Who reads it knows which processes, which mix, and what to start elsewhere."""
    environment = replace(environment_file.load("local", variables={}), load=load)
    assert dry_run.generator(environment) == [line]


# from the command line -------------------------------------------------------------------------------


@pytest.fixture
def watched() -> Iterator[tuple[str, list[str]]]:
    """Start a server that answers everything; return its URL and the paths requested."""
    requested: list[str] = []

    async def answer(request: Request) -> Response:
        requested.append(request.url.path)
        return Response()

    with serving(Route("/{path:path}", answer, methods=["GET", "POST", "PUT", "DELETE"])) as url:
        yield url, requested


@pytest.fixture
def place() -> Iterator[Ground]:
    """Provide a machine where nothing is deployed, with canary secrets among its variables."""
    secrets = {"ADMIN_TOKEN": "canary-token", "DATABASE_URL": "postgresql://gaia:canary-password@db.qa/gaia"}
    with ground(database="external", **secrets) as made:
        yield made


def test_a_dry_run_sends_nothing_writes_nothing_and_does_not_pass(
    place: Ground, watched: tuple[str, list[str]]
) -> None:
    """It exits with 8, sends no request, makes no folder, and shows places and amounts without a secret."""
    url, requested = watched
    file = place.environment_file(base_url=url, keys='log = "ssh://me@qa/var/log/x.log"\n')
    before = sorted(place.folder.rglob("*"))
    done = place.run("pytest", f"--env={file}", "--stage=prod", "--dry-run", "-n", "2")
    assert done.returncode == 8, done.stdout + done.stderr
    assert requested == []
    assert sorted(place.folder.rglob("*")) == before
    for text in (
        f"stage prod: {len(criteria_file.load().criteria)} criteria; nothing is sent",
        "10 x GET /health, 0.02 s apart",
        f"target: {url}, with an ADMIN_TOKEN",
        "log: ssh://me@qa/var/log/x.log",
        "database: gaia on db.qa, read only",
        "process: the server's process cannot be observed from here",
        "nothing was measured",
    ):
        assert text in done.stdout
    assert "canary" not in done.stdout + done.stderr


def test_a_dry_run_reports_a_missing_server(place: Ground) -> None:
    """It exits with 8 and gives the gate's reason."""
    done = place.run("pytest", f"--env={place.environment_file()}", "--dry-run")
    assert done.returncode == 8, done.stdout + done.stderr
    assert "target: none: ground: no server is deployed on this machine" in done.stdout


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--dry-run",), "--dry-run requires --env: pytest --env=NAME --dry-run"),
        (("--dry-run", "--env=nowhere"), "nowhere: no such environment"),
        (("--dry-run", "--env=local", "--stage=x"), "--stage: 'x' is not a stage"),
    ],
)
def test_a_wrong_command_is_one_clear_line(place: Ground, options: tuple[str, ...], message: str) -> None:
    """It exits with 4 and one line, without a traceback."""
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
def test_a_secret_in_an_address_is_refused_and_written_nowhere(place: Ground, key: str) -> None:
    """The gate does not start, and neither the message nor a file contains the secret."""
    file = place.environment_file(keys=f"{key}\n")
    done = place.run("pytest", f"--env={file}")
    assert done.returncode == 4, done.stdout + done.stderr
    assert f"ground.toml: environment.{key.partition(' ')[0]}: " in done.stderr
    assert "canary-in-file" not in done.stdout + done.stderr
    assert not Path(place.folder / "reports").exists()

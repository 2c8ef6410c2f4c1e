"""`pytest --env=NAME --dry-run`: what a gate would send where. Nothing is sent, no folder is made, no lock is taken.

It ends like a gate that has measured nothing: inconclusive.
"""

import re
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rich.table import Table

from gaia_checks import contract
from gaia_checks.deploy.postgres import database_connection
from gaia_checks.deploy.state import paths
from gaia_checks.environment import environment_file
from gaia_checks.environment.environment import Environment
from gaia_checks.errors import GaiaError, Inconclusive
from gaia_checks.gate.display import stream
from gaia_checks.gate.display.sends import COPY, COUNT, GATE, LOAD_RATE, OWN, SENDS, Parameters, Sends
from gaia_checks.gate.run import capabilities, gate_plan, gated_target, judgeable
from gaia_checks.judge import criteria_file
from gaia_checks.judge.criteria_file import Looks
from gaia_checks.model import Criterion, Names, Target
from gaia_checks.report import words
from gaia_checks.target.postgres_session import NO_CONNECTION_STRING
from gaia_checks.target.unobservable import DATABASE, HERE, LOG, cannot_observe

_PATH = re.compile(r"/[a-z][a-z/-]*")


@dataclass(frozen=True, slots=True)
class Row:
    """One look of the plan."""

    look: str
    criteria: tuple[str, ...]
    where: str
    what: str
    requests: float
    most_requests: float  # if it is extended to its longest window
    connections: float
    rules: float
    lasts_s: float


def main(name: str, stage: str | None) -> int:
    """Write what a gate of `name` would do to standard output; return the exit code of an inconclusive gate.

    Raises ConfigurationError for the same errors as a gate.
    """
    environment = environment_file.load(name)
    criteria = criteria_file.load(
        overrides=environment.looks,
        source=environment.path.name,
        own=environment.criteria,
        limits=environment.no_regression,
    )
    stage = stage or environment.stage
    promised = criteria.for_stage(stage)
    looks = {**criteria.looks, "instances": {**criteria.looks["instances"], COUNT: len(environment.instances)}}
    planned = [each for each in promised if each.applies_when != "instances" or environment.instances]
    rows = plan(planned, looks, environment.names)
    console = stream.console(stream.duplicate(sys.stdout))
    slots = gate_plan.slots(looks, [row.look for row in rows[1:]])
    for line in (
        f"dry run of the gate {environment.name}, stage {stage}: {len(promised)} criteria; nothing is sent",
        "", table(rows), "",
        "schedule of the looks (░ while a load may be extended):", "", *gate_plan.chart(slots), "",
        *summary(rows, planned, looks), *generator(environment), *sources(environment), "",
        *judged(environment, promised), "",
        "nothing was measured, so this decides nothing: remove --dry-run to run the gate",
    ):  # fmt: skip
        console.print(environment.redact(line) if isinstance(line, str) else line, markup=False)
    return Inconclusive.exit_code


def plan(promised: Sequence[Criterion], looks: Looks, names: Names) -> list[Row]:
    """Return what the gate itself and each look of the promised criteria would do. Pure."""
    wanted = dict.fromkeys(criterion.look for criterion in promised)
    ids = {look: tuple(each.id for each in promised if each.look == look) for look in wanted}
    rate = {LOAD_RATE: looks[gate_plan.LOAD]["rate_per_s"]}
    return [
        _row("gate", GATE, {}, names),
        *(_row(look, SENDS.get(look, OWN), {**looks[look], **rate}, names, ids[look]) for look in wanted),
    ]


def _row(look: str, sends: Sends, parameters: Parameters, names: Names, criteria: tuple[str, ...] = ()) -> Row:
    return Row(
        look=look,
        criteria=criteria,
        where=sends.where,
        what=_PATH.sub(lambda path: contract.path(names, path[0]), sends.what.format(**parameters)),
        requests=sends.requests(parameters),
        most_requests=sends.requests(_longest(parameters)),
        connections=sends.connections(parameters),
        rules=sends.rules(parameters),
        lasts_s=sends.lasts_s(parameters),
    )


def table(rows: Iterable[Row]) -> Table:
    """Build the table: look, criteria, where, action and amounts."""
    grid = Table(box=None, pad_edge=False, header_style="dim", expand=False)
    for name in ("look", "criteria", "where", "action"):
        grid.add_column(name, overflow="fold", no_wrap=name == "look")
    for name in ("requests", "WebSockets", "rules", "lasts"):
        grid.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        numbers = (row.requests, row.connections, row.rules)
        lasts = words.duration(row.lasts_s) if row.lasts_s >= 1 else "–"
        criteria = "\n".join(row.criteria) or "–"
        grid.add_row(row.look, criteria, row.where, row.what, *(_count(number) for number in numbers), lasts)
    return grid


def summary(rows: Sequence[Row], promised: Sequence[Criterion], looks: Looks) -> list[str]:
    """Return the totals and the duration. Pure."""
    wanted = {criterion.look for criterion in promised}
    lasts_s, longest_s = gate_plan.expected_s(looks, wanted), gate_plan.longest_s(looks, wanted)
    requests, most, sockets, rules = (sum(column) for column in zip(*map(_amounts, rows), strict=True))
    more = f" (at most {_count(most)} in {words.duration(longest_s)}, while undecided)" if most > requests else ""
    total = f"total: about {_count(requests)} requests in {words.duration(lasts_s)}{more}"
    copies = [row.look for row in rows if COPY in row.where]
    return [
        f"{total}, {_count(sockets)} WebSockets, {_count(rules)} temporary rules, which are removed at the end",
        "keys and rules are named client-..., as client_names in the environment file says",
        *([f"on a rehearsal copy with its own database: {', '.join(copies)}"] if copies else []),
    ]


def generator(environment: Environment) -> list[str]:
    """Return what would send the load."""
    load = environment.load
    own = f", with the mix of {load.locustfile} in place of the one above" if load.locustfile else ""
    start = f"; on other machines, start: {load.join_command}" if load.workers else ""
    return [f"load: sent by {load.generator}, engine {load.engine}{own}{start}"]


def _amounts(row: Row) -> tuple[float, float, float, float]:
    return row.requests, row.most_requests, row.connections, row.rules


def _longest(parameters: Parameters) -> Parameters:
    """Return the parameters of a look that is extended to its longest window."""
    return {**parameters, "window_s": parameters.get("max_window_s", parameters.get("window_s", 0))}


def sources(environment: Environment) -> list[str]:
    """Return the server and its log, database and process that a gate would read; none of them is contacted."""
    if gated_target.deployed_by_gate(environment):
        own = (
            f"the working tree, deployed at {environment.local_url} by the gate "
            "and stopped at the end unless it was running"
        )
        return [f"target: {own}", f"log: {paths.of(environment).server_log}"]
    try:
        target = gated_target.find(environment, "dry-run")
    except GaiaError as error:
        return [f"target: none: {error}"]
    process = f"pid {target.process.pid}" if target.process else cannot_observe(target, "the server's process", HERE)
    return [
        f"target: {target.base_url}, {'with' if target.admin_token else 'without'} an ADMIN_TOKEN",
        f"log: {target.log or cannot_observe(target, 'the log', LOG, HERE)}",
        f"database: {_database(target)}",
        f"process: {process}",
    ]


def judged(environment: Environment, promised: Sequence[Criterion]) -> list[str]:
    """Return which criteria the target can be judged by, as far as that is known without sending anything."""
    if gated_target.deployed_by_gate(environment):
        return ["judged: everything, as the gate deploys the target itself"]
    try:
        target = gated_target.find(environment, "dry-run")
    except GaiaError:
        return []
    found = capabilities.without_requests(target)
    return list(judgeable.lines(promised, found, gated_target.facts(environment, target)))


def _database(target: Target) -> str:
    if target.database_url is None:
        return cannot_observe(target, "the database", DATABASE)
    found = database_connection.whereabouts(target.database_url)
    return f"{found}, read only" if found else NO_CONNECTION_STRING


def _count(number: float) -> str:
    return f"{round(number):,}" if number else "–"

"""`gaia load`: workers of a gate's load, and what loads measured, compared and drawn."""

import json
import sys
from pathlib import Path

import click

from gaia_checks.cli.lazy_command import OrderedGroup
from gaia_checks.cli.parameters import FOLDER, json_option


@click.group("load", cls=OrderedGroup)
def load_command() -> None:
    """Send a part of a gate's load; compare and draw measured loads."""


@load_command.command("compare")
@click.argument("first", metavar="A", type=FOLDER, help="a load: a folder of gaia-checks, JSON of k6 or CSV of locust")
@click.argument("second", metavar="B", type=FOLDER, help="another load")
@json_option
def compare_command(first: Path, second: Path, *, as_json: bool) -> None:
    """Compare two loads side by side."""
    from gaia_checks.load.views import compare

    figures = compare.read(first), compare.read(second)
    print(json.dumps(compare.to_json(*figures), indent=2) if as_json else compare.text(*figures))


@load_command.command("chart")
@click.argument("folder", type=FOLDER, help="the files of a load, e.g. reports/local/latest")
def chart_command(folder: Path) -> None:
    """Draw a load: latency, rate and errors over time, as one HTML file."""
    from gaia_checks.load.views import chart

    print(chart.write(folder))


@load_command.command("worker")
@click.option("--master", metavar="HOST[:PORT]", required=True, help="where the gate waits for its workers")
@click.option(
    "--locustfile",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="the gate's own mix, if its environment file names one",
)
@click.option(
    "--adapter",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="the gate's own adapter, if its environment file names one",
)
@click.option(
    "--target",
    metavar="URL",
    help="the server by its address for this machine, to which alone GAIA_ADMIN_TOKEN is sent",
)
def worker_command(master: str, locustfile: Path | None, adapter: Path | None, target: str | None) -> int:
    """Send a part of the load of one gate that runs on another machine."""
    from gaia_checks.load import worker_run

    def log(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    return worker_run.run(master, locustfile=locustfile, target=target, adapter=adapter, log=log)

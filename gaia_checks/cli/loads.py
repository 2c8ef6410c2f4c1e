"""`gaia load`: what loads measured, compared and drawn."""

import json
from pathlib import Path

import click

from gaia_checks.cli.lazy_command import OrderedGroup
from gaia_checks.cli.parameters import FOLDER, json_option


@click.group("load", cls=OrderedGroup)
def load_command() -> None:
    """Compare and draw measured loads."""


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

"""The dashboard as a document: what Grafana needs to show it, as no Grafana is here to say so."""

import json
from collections import Counter
from typing import Any

import pytest

from gaia_checks.probes.monitoring.monitoring_probe import FOLDER

BOARD: dict[str, Any] = json.loads((FOLDER / "dashboard.json").read_text())
ROWS = [panel for panel in BOARD["panels"] if panel["type"] == "row"]
PANELS = [panel for panel in BOARD["panels"] if panel["type"] != "row"]
TARGETS = [target for panel in PANELS for target in panel["targets"]]
SOURCE = {"type": "prometheus", "uid": "${datasource}"}

each_panel = pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel["title"])


def cells(panel: dict[str, Any]) -> set[tuple[int, int]]:
    """The cells of the grid that a panel covers."""
    at = panel["gridPos"]
    return {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}


def test_it_is_one_that_grafana_takes() -> None:
    """A schema of today, an address that stays, no id of somebody's own installation."""
    assert BOARD["schemaVersion"] >= 41
    assert BOARD["uid"]
    assert "id" not in BOARD
    assert "__inputs" not in BOARD


def test_panels_have_ids_and_titles_of_their_own() -> None:
    """Grafana tells panels apart by their ids, people by their titles."""
    ids = Counter(panel["id"] for panel in BOARD["panels"])
    assert max(ids.values()) == 1
    assert len({panel["title"] for panel in PANELS}) == len(PANELS) >= 12


def test_panels_lie_side_by_side() -> None:
    """None covers another, none leaves the 24 columns, and every row is full."""
    covered = Counter(cell for panel in BOARD["panels"] for cell in cells(panel))
    assert max(covered.values()) == 1
    assert {x for x, _ in covered} == set(range(24))
    bottom = max(y for _, y in covered) + 1
    assert len(covered) == 24 * bottom


def test_rows_are_open_and_have_panels() -> None:
    """A row is a heading above its panels, which are listed after it."""
    kinds = [panel["type"] == "row" for panel in BOARD["panels"]]
    assert kinds[0]
    assert not any(first and second for first, second in zip(kinds, [*kinds[1:], True], strict=True))
    assert all(row["collapsed"] is False and row["panels"] == [] for row in ROWS)


@each_panel
def test_a_panel_says_what_it_shows(panel: dict[str, Any]) -> None:
    """A sentence, a unit, and the data source that is chosen on the page."""
    assert panel["type"] in ("timeseries", "stat")  # what every Grafana has
    assert panel["description"].endswith(".")
    assert panel["fieldConfig"]["defaults"]["unit"]
    assert panel["datasource"] == SOURCE
    assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"]) > 0


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target["expr"][:60])
def test_a_query_is_about_the_chosen_servers(target: dict[str, Any]) -> None:
    """Each selector of it; a rate is over what Grafana takes for right, unless the title says how long."""
    assert target["datasource"] == SOURCE
    assert target["expr"].count("{") == target["expr"].count('{job="$job",instance=~"$instance"') > 0
    if "[" in target["expr"]:
        assert any(window in target["expr"] for window in ("[$__rate_interval]", "[5m]", "[1h]"))


def test_one_unit_for_one_kind_of_figure() -> None:
    """Times in seconds, parts in percent, bytes as the promise counts them: by 1000."""
    units = {
        panel["fieldConfig"]["defaults"]["unit"]
        for panel in PANELS
        if any(word in target["expr"] for word in ("_seconds_bucket", "_bytes") for target in panel["targets"])
    }
    assert units == {"s", "decbytes"}
    assert {panel["fieldConfig"]["defaults"]["unit"] for panel in PANELS} <= {
        "s", "decbytes", "percentunit", "reqps", "mps", "none",
    }  # fmt: skip


def test_what_is_asked_for_can_be_chosen() -> None:
    """Every variable of a query is there, and asks the chosen data source."""
    variables = {variable["name"]: variable for variable in BOARD["templating"]["list"]}
    assert list(variables) == ["datasource", "job", "instance"]
    assert variables["datasource"]["type"] == "datasource"
    assert all(variables[name]["datasource"] == SOURCE for name in ("job", "instance"))


def test_restarts_are_drawn() -> None:
    """As annotations, from the same data source."""
    (restarts,) = BOARD["annotations"]["list"]
    assert restarts["enable"]
    assert restarts["datasource"] == SOURCE
    assert "resets(gaia_uptime_seconds" in restarts["expr"]


def test_nothing_is_loaded_from_elsewhere() -> None:
    """No link, no picture, no plugin."""
    assert "://" not in json.dumps(BOARD)

"""The catalogue: what a patch's header must have, and how patterns choose."""

from pathlib import Path

import pytest

from gaia_checks.environment import environment_file
from gaia_checks.environment.project import ROOT
from gaia_checks.errors import ConfigurationError
from gaia_checks.judge import criteria_file
from gaia_checks.prove import fault_catalogue, short_windows

KNOWN = {"dev.api", "qa.access"}
HEADER = "What: it lies\nWhy: a sign\nCriterion: dev.api\n"
DIFF = "\ndiff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1 +1 @@\n-What: a line of the source\n+y\n"


def written(folder: Path, text: str, name: str = "dev.api/lies") -> Path:
    """Write a patch; return the folder of the catalogue."""
    path = folder / f"{name}.patch"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return folder


def test_a_fault_has_what_its_header_says(tmp_path: Path) -> None:
    """The diff below is not read as a header."""
    (fault,) = fault_catalogue.read(written(tmp_path, f"{HEADER}Also: qa.access\n{DIFF}"), KNOWN)
    assert (fault.name, fault.criterion, fault.what, fault.why) == ("dev.api/lies", "dev.api", "it lies", "a sign")
    assert fault.also == {"qa.access"}
    assert fault.window_s is None


def test_a_fault_may_need_a_longer_window(tmp_path: Path) -> None:
    """Of its own criterion's look; of several faults the longest counts, and all else stays short."""
    written(tmp_path, f"{HEADER.replace('dev.api', 'qa.websocket_soak')}Window: 45 s\n{DIFF}", "qa.websocket_soak/one")
    written(tmp_path, f"{HEADER.replace('dev.api', 'qa.websocket_soak')}Window: 35 s\n{DIFF}", "qa.websocket_soak/two")
    criteria, local = criteria_file.load(), environment_file.load("local")
    faults = fault_catalogue.read(written(tmp_path, HEADER + DIFF), {criterion.id for criterion in criteria.criteria})
    longer = short_windows.needed(criteria, faults)
    assert longer == {"soak": 45.0}
    short = short_windows.looks(local, {})
    assert short_windows.looks(local, longer) == {**short, "soak": {**short["soak"], "window_s": 45.0}}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (HEADER, "dev.api/lies.patch: no unified diff below the header"),
        (f"What: x\nCriterion: dev.api\n{DIFF}", "dev.api/lies.patch: Why: missing"),
        (f"{HEADER}Because: x\n{DIFF}", "'Because: x': write What, Why, Criterion and perhaps Also or Window"),
        (f"{HEADER}What: twice\n{DIFF}", "'What: twice': write"),
        (HEADER.replace("dev.api", "qa.access") + DIFF, "Criterion: qa.access is not the folder's, dev.api"),
        (f"{HEADER}Window: soak 45\n{DIFF}", "Window: soak 45: give whole seconds, e.g. 45 s"),
        (f"{HEADER}Also: qa.acess\n{DIFF}", "qa.acess is no criterion; known: dev.api, qa.access"),
    ],
)
def test_a_bad_patch_is_refused_by_name(tmp_path: Path, text: str, message: str) -> None:
    """One line says which file and what to write."""
    with pytest.raises(ConfigurationError, match=message):
        fault_catalogue.read(written(tmp_path, text), KNOWN)


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    """A catalogue without a fault proves nothing."""
    with pytest.raises(ConfigurationError, match="no fault there"):
        fault_catalogue.read(tmp_path, KNOWN)


def test_patterns_choose_by_a_part_of_the_name(tmp_path: Path) -> None:
    """A criterion, a word or a glob; one that fits nothing is an error."""
    written(tmp_path, HEADER + DIFF)
    written(tmp_path, HEADER.replace("dev.api", "qa.access") + DIFF, "qa.access/head")
    faults = fault_catalogue.read(tmp_path, KNOWN)
    for pattern in ("qa.", "head", "qa*ead"):
        assert [fault.name for fault in fault_catalogue.select(faults, [pattern])] == ["qa.access/head"]
    assert len(fault_catalogue.select(faults, [])) == 2
    with pytest.raises(ConfigurationError, match="no fault fits 'nothing'"):
        fault_catalogue.select(faults, ["lies", "nothing"])


def test_the_catalogue_of_gaia_server_is_whole() -> None:
    """Every file is a fault of a criterion that exists."""
    known = {criterion.id for criterion in criteria_file.load().criteria}
    assert len(fault_catalogue.read(ROOT / "faults", known)) == len(list((ROOT / "faults").rglob("*.patch")))

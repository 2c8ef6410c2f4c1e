"""pytest's own options together with `--env`."""

import xml.etree.ElementTree as ET
from collections.abc import Iterator

import pytest

from tests.support.ground import Ground, ground

WARNS = """
import warnings
def pytest_configure():
    warnings.warn("unset option", DeprecationWarning, stacklevel=1)
def pytest_runtest_setup():
    warnings.warn("in a test", ResourceWarning, stacklevel=1)
"""


@pytest.fixture(scope="module")
def nowhere() -> Iterator[Ground]:
    """No server: a quick gate that decides nothing."""
    with ground() as made:
        made.environment_file(base_url=made.url)
        yield made


def gate(place: Ground, *options: str, **variables: str) -> tuple[int, str]:
    """Run a gate of one criterion; return its exit code and output."""
    done = place.run("pytest", f"--env={place.folder / 'ground.toml'}", "-k", "health", *options, **variables)
    return done.returncode, done.stdout + done.stderr


def test_results_are_copied_to_where_a_ci_wants_them(nowhere: Ground) -> None:
    """--junitxml and --alluredir are written in folders that did not exist; the evidence keeps its own."""
    junit, allure = nowhere.folder / "ci" / "junit.xml", nowhere.folder / "ci" / "allure"
    allure.mkdir(parents=True)
    (allure / "old-result.json").write_text("{}")
    code, output = gate(nowhere, f"--junitxml={junit}", f"--alluredir={allure}", "--clean-alluredir")
    assert code == 8, output
    assert junit.read_bytes() == (nowhere.latest / "junit.xml").read_bytes()
    assert ET.parse(junit).getroot()[0].get("tests") == "1"  # noqa: S314 - our own file
    results = {path.name: path.read_bytes() for path in (nowhere.latest / "allure-results").iterdir()}
    assert {path.name: path.read_bytes() for path in allure.iterdir()} == results
    assert any(name.endswith("-result.json") for name in results)


def test_a_copy_that_cannot_be_written_changes_no_verdict(nowhere: Ground) -> None:
    """The line names the path."""
    code, output = gate(nowhere, "--junitxml=/proc/gaia/junit.xml")
    assert code == 8, output
    assert "/proc/gaia" in output
    assert output.splitlines()[-1].startswith("INCONCLUSIVE (exit code 8)")


@pytest.mark.parametrize(
    ("option", "says"),
    [("--help", "--env=NAME"), ("--version", "pytest "), ("-VV", "This is pytest version"), ("-h", "--env=NAME")],
)
def test_help_and_version_are_pytests_own(nowhere: Ground, option: str, says: str) -> None:
    """They exit with 0 and start no gate, also beside the gate's other options."""
    before = set((nowhere.folder / "reports").rglob("*"))
    code, output = gate(nowhere, option, "--stage=dev", "--complete")
    assert code == 0, output
    assert says in output
    assert "Traceback (most" not in output
    assert set((nowhere.folder / "reports").rglob("*")) == before


@pytest.mark.parametrize("options", [(), ("-W", "error"), ("-n", "2")])
def test_warnings_end_no_gate(nowhere: Ground, options: tuple[str, ...]) -> None:
    """Those of a plugin while it is configured and used, even where they are to be errors."""
    (nowhere.folder / "warns.py").write_text(WARNS)
    code, output = gate(nowhere, "-p", "warns", *options, PYTHONPATH=str(nowhere.folder), PYTHONWARNINGS="error")
    assert code == 8, output
    assert "INTERNALERROR" not in output
    assert "\nINCONCLUSIVE (exit code 8)" in output

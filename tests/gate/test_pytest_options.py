"""pytest's own options together with `--env`."""

import json
import xml.etree.ElementTree as ET
from collections.abc import Iterator

import pytest

from tests.probes.servers import serving
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


NO_PASS = """
import pytest
def pytest_collection_modifyitems(items):
    for item in items:
        item.add_marker(pytest.mark.xfail(reason="known", strict=False))
@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session):
    session.exitstatus = 0
"""
"""A plugin to which every failure is expected, and every gate a pass."""

FAILS = {
    "order, warnings and output": (
        "--lf --ff --nf --lfnf=none --sw --sw-skip -x --exitfirst --maxfail=1 --runxfail -W error -W ignore "
        "--disable-warnings -s -qqq --tb=no --no-summary --no-header --color=yes -rN --assert=plain --durations=1"
    ),
    "expected to fail, without pytest's own plugins": (
        "-p no_pass -p no:cacheprovider -p no:stepwise -p no:warnings -p no:logging -p no:junitxml "
        "-p no:faulthandler -p no:unraisableexception -p no:threadexception -p no:xdist -p no:allure_pytest"
    ),
    "another configuration": (
        "-c FOLDER/other.ini --rootdir=FOLDER --confcutdir=/ --import-mode=importlib -o xfail_strict=false "
        "--override-ini=addopts= -o norecursedirs=suites -o testpaths=tests --continue-on-collection-errors"
    ),
}
"""Options together with which a failing server fails."""

VARIABLES = {"PYTEST_ADDOPTS": "--lf --runxfail -x -o addopts=", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}

NOT_COLLECTED = ("--deselect=suites/test_health.py", "--ignore=suites/test_health.py", "-o python_functions=none_*")

REFUSED = {
    "--noconftest": {},
    "-qq": {"PYTEST_ADDOPTS": "--co"},
    "--tb=no": {"PYTEST_ADDOPTS": "--help"},
    "-q": {"PYTEST_ADDOPTS": "--version"},
    "-x": {"PYTEST_ADDOPTS": "--dry-run"},
    "-o addopts=--version": {},
}
"""Options that would end with 0, or with 1, without a measurement."""


@pytest.fixture(scope="module")
def failing() -> Iterator[Ground]:
    """A server that answers 404 to everything: dev.health fails within a second."""
    with serving() as url, ground(database="external", ADMIN_TOKEN="a-token-of-sixteen") as made:
        made.environment_file(base_url=url)
        (made.folder / "no_pass.py").write_text(NO_PASS)
        (made.folder / "other.ini").write_text("[pytest]\n")
        yield made


def tried(place: Ground, options: str, **variables: str) -> tuple[int, str]:
    """Gate the criterion with these options."""
    words = options.replace("FOLDER", str(place.folder)).split()
    return gate(place, *words, PYTHONPATH=str(place.folder), **variables)


@pytest.mark.parametrize("name", FAILS)
def test_no_option_turns_a_failure_into_a_pass(failing: Ground, name: str) -> None:
    """The criterion is judged, and its verdict is the exit code."""
    variables = VARIABLES if name.startswith("order") else {}
    code, output = tried(failing, FAILS[name], **variables)
    assert code == 1, output
    verdict = json.loads((failing.latest / "verdict.json").read_text())
    assert {c["id"] for c in verdict["criteria"] if c["state"] == "fail"} == {"dev.health"}


@pytest.mark.parametrize("options", NOT_COLLECTED)
def test_what_is_not_collected_passes_nothing(failing: Ground, options: str) -> None:
    """Pytest's own exit code for no test stands, and the verdict is open."""
    code, output = tried(failing, options)
    assert code == 5, output
    assert json.loads((failing.latest / "verdict.json").read_text())["state"] == "inconclusive"


@pytest.mark.parametrize("options", REFUSED)
def test_options_that_measure_nothing_are_refused(failing: Ground, options: str) -> None:
    """Also where nobody typed them: in a variable, or in the configuration."""
    code, output = tried(failing, options, **REFUSED[options])
    assert code == 4, output
    assert "ERROR: " in output or "error: " in output
    assert "Traceback" not in output

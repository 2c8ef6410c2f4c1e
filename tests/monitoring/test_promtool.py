"""The shipped files, and the real server's metrics, as Prometheus' own tool sees them."""

import os
import re
import subprocess
from pathlib import Path

import pytest
import yaml

from gaia_checks.model import Target
from gaia_checks.probes.monitoring.monitoring_probe import FOLDER
from tests.docs.commands import to_run
from tests.monitoring.prometheus import promtool, tool
from tests.support import plain_http

ALERTS = [rule for group in yaml.safe_load((FOLDER / "alerts.yml").read_text())["groups"] for rule in group["rules"]]
TESTS = yaml.safe_load((FOLDER / "alerts_test.yml").read_text())["tests"]


def test_the_configuration_is_valid_and_every_alert_fires_when_it_should() -> None:
    """By the command of the page: the example, every expression and template of its rules, and their shipped tests."""
    (command,) = to_run("docs/monitoring/README.md#monitoring")
    path = f"{Path(tool('promtool')).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ("bash", "-c", command), cwd=FOLDER, env={"PATH": path}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "SUCCESS: 1 rule files found" in done.stdout
    assert f"SUCCESS: {len(ALERTS)} rules found" in done.stdout
    assert re.search(r"Unit Testing: +alerts_test\.yml\s+SUCCESS", done.stdout)


@pytest.mark.parametrize("alert", ALERTS, ids=[alert["alert"] for alert in ALERTS])
def test_an_alert_that_never_fires_turns_its_test_red(alert: dict[str, str], tmp_path: Path) -> None:
    """No alert is without a test of its own, in which it fires."""
    tests = [test for test in TESTS if test["name"].startswith(f"{alert['alert']}: ")]
    rules = {"groups": [{"name": "one", "rules": [{**alert, "expr": "vector(0) > 1"}]}]}
    (tmp_path / "alerts.yml").write_text(yaml.safe_dump(rules))
    (tmp_path / "alerts_test.yml").write_text(yaml.safe_dump({"rule_files": ["alerts.yml"], "tests": tests}))
    with pytest.raises(AssertionError, match="FAILED"):
        promtool("test", "rules", "alerts_test.yml", folder=tmp_path)


@pytest.mark.parametrize("alert", ALERTS, ids=[alert["alert"] for alert in ALERTS])
def test_an_alert_says_what_to_do(alert: dict[str, dict[str, str]]) -> None:
    """How urgent, what, why, and what to do first, in one sentence."""
    assert alert["labels"]["severity"] in ("critical", "warning", "info")
    assert set(alert["annotations"]) == {"summary", "description", "runbook"}
    assert all(text.endswith(".") for text in alert["annotations"].values())
    assert alert["annotations"]["runbook"].count(". ") == 0


def test_alerts_have_names_of_their_own() -> None:
    """One alert, one name."""
    assert len({alert["alert"] for alert in ALERTS}) == len(ALERTS)


def test_the_real_metrics_are_well_formed(server: Target) -> None:
    """As Prometheus reads them, and named as it wants names to be."""
    promtool("check", "metrics", given=plain_http.get(f"{server.base_url}/metrics").text)

"""The quota mix against the real server: what the locustfile expects is what the server answers."""

from pathlib import Path

import pytest

from gaia_checks.load import run
from gaia_checks.model import Target
from gaia_checks.probes.answers import CONFIG
from gaia_checks.probes.client import client
from tests.load.test_run import measured, percentile_ms


def test_the_real_server_serves_the_quota_mix(server: Target, tmp_path: Path) -> None:
    """100 requests a second are all sent and all served, and the rule of the load is gone afterwards."""
    said: list[str] = []
    code = run.run(server, tmp_path, rate_per_s=100, window_s=4, say=said.append, ended=lambda: False)
    seen = measured(tmp_path)
    assert (code, said) == (0, [])
    assert (seen["outcomes"].n, seen["outcomes"].value["failures"]) == (400, 0), seen["outcomes"].notes
    assert seen["limited"].value == 0
    assert seen["sent_of_intended"].value == 1.0
    assert seen["served_of_sent"].value == pytest.approx(1.0)
    assert 0 < percentile_ms(seen["latency"], 50) < 1000
    with client(server) as http:
        names = [rule["rule_name"] for rule in http.get(CONFIG, params={"limit": 100}).json()["items"]]
    assert names
    assert not [name for name in names if "-load-" in name]

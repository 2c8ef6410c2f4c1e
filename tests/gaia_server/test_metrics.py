"""Metrics: bounded labels, and process metrics on every system."""

from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from gaia_server.metrics import Metrics


def samples(found: Metrics) -> dict[str, float]:
    """Return the samples by name and labels, as Prometheus parses them."""
    families = text_string_to_metric_families(found.text().decode())
    return {
        sample.name + "".join(f",{name}={value}" for name, value in sorted(sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
    }


def test_rules_are_counted_and_forgotten() -> None:
    """Each rule has its own counts; a deleted rule leaves no label and restarts from zero if it returns."""
    found = Metrics(dict, None)
    for rule_id, admitted in ((1, True), (1, True), (1, False), (2, True)):
        found.decided(rule_id, admitted=admitted)
    name = "gaia_rate_limit_rule_decisions_total"
    assert samples(found)[f"{name},decision=admitted,rule_id=1"] == 2
    assert samples(found)[f"{name},decision=denied,rule_id=1"] == 1
    found.keep_rules({2, 3})
    assert [sample for sample in samples(found) if sample.startswith(name)] == [f"{name},decision=admitted,rule_id=2"]
    found.decided(1, admitted=True)
    assert samples(found)[f"{name},decision=admitted,rule_id=1"] == 1


def test_histograms() -> None:
    """The buckets cover the specified values: 5 ms for a decision, and the largest batch."""
    found = Metrics(dict, None)
    found.decision_seconds.observe(0.0049)
    found.batch_size.observe(500)
    read = samples(found)
    assert read["gaia_rate_limit_decision_duration_seconds_bucket,le=0.005"] == 1
    assert read["gaia_rate_limit_decision_duration_seconds_bucket,le=0.003"] == 0
    assert read["gaia_rate_limit_batch_size_bucket,le=500.0"] == 1
    assert read["gaia_rate_limit_batch_size_bucket,le=200.0"] == 0


@pytest.mark.parametrize("proc", [True, False])
def test_process_metrics(proc: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory and CPU time have the same names with and without /proc."""
    if not proc:
        monkeypatch.setattr(Path, "exists", lambda _: False)
    read = samples(Metrics(dict, None))
    assert read["process_resident_memory_bytes"] > 1e6
    assert read["process_cpu_seconds_total"] > 0

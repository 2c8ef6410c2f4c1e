"""Metrics: labels that are bounded, and figures that are there on every system."""

from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from gaia_server.metrics import Metrics


def told(found: Metrics) -> dict[str, float]:
    """The samples by name and labels, as Prometheus reads them."""
    families = text_string_to_metric_families(found.text().decode())
    return {
        sample.name + "".join(f",{name}={value}" for name, value in sorted(sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
    }


def test_rules_are_counted_and_forgotten() -> None:
    """Each rule counts for itself; one that is gone leaves no label, and begins anew if it comes back."""
    found = Metrics(dict, None)
    for rule_id, admitted in ((1, True), (1, True), (1, False), (2, True)):
        found.decided(rule_id, admitted=admitted)
    name = "gaia_rate_limit_rule_decisions_total"
    assert told(found)[f"{name},decision=admitted,rule_id=1"] == 2
    assert told(found)[f"{name},decision=denied,rule_id=1"] == 1
    found.keep_rules({2, 3})
    assert [sample for sample in told(found) if sample.startswith(name)] == [f"{name},decision=admitted,rule_id=2"]
    found.decided(1, admitted=True)
    assert told(found)[f"{name},decision=admitted,rule_id=1"] == 1


def test_histograms() -> None:
    """Durations and sizes fall into buckets that tell what was promised: 5 ms, and batches up to the largest."""
    found = Metrics(dict, None)
    found.decision_seconds.observe(0.0049)
    found.batch_size.observe(500)
    samples = told(found)
    assert samples["gaia_rate_limit_decision_duration_seconds_bucket,le=0.005"] == 1
    assert samples["gaia_rate_limit_decision_duration_seconds_bucket,le=0.003"] == 0
    assert samples["gaia_rate_limit_batch_size_bucket,le=500.0"] == 1
    assert samples["gaia_rate_limit_batch_size_bucket,le=200.0"] == 0


@pytest.mark.parametrize("proc", [True, False])
def test_this_process_is_told(proc: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory and processor time have the same names with /proc and without."""
    if not proc:
        monkeypatch.setattr(Path, "exists", lambda _: False)
    samples = told(Metrics(dict, None))
    assert samples["process_resident_memory_bytes"] > 1e6
    assert samples["process_cpu_seconds_total"] > 0

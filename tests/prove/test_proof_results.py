"""Resuming: what was decided about the same patch and source is not tried again."""

from pathlib import Path

from gaia_checks.prove import fault_verdict
from gaia_checks.prove.fault_catalogue import CataloguedFault
from gaia_checks.prove.proof_results import ProofResults


def fault(folder: Path, name: str = "x") -> CataloguedFault:
    """Return a fault with a patch on the disk."""
    patch = folder / f"{name}.patch"
    patch.write_text("a diff")
    return CataloguedFault(f"dev.api/{name}", "dev.api", "it lies", "a sign", frozenset(), patch)


def test_a_decided_fault_is_finished_until_its_patch_or_the_source_changes(tmp_path: Path) -> None:
    """Either change makes the result worthless."""
    one, results = fault(tmp_path), ProofResults(tmp_path / "results.jsonl", "source")
    results.add(one, fault_verdict.refused(one, "build", "it does not compile"))
    assert results.finished((one,)) == {one.name}
    assert ProofResults(results.path, "another source").of((one,)) == {}
    one.patch.write_text("another diff")
    assert results.of((one,)) == {}


def test_an_inconclusive_fault_is_tried_again_and_the_newest_result_counts(tmp_path: Path) -> None:
    """A busy machine may decide nothing once."""
    one, results = fault(tmp_path), ProofResults(tmp_path / "results.jsonl", "source")
    results.add(one, fault_verdict.undecided(one, "the machine was busy"))
    assert results.finished((one,)) == set()
    assert results.of((one,))[one.name].verdict == "inconclusive"
    results.add(one, fault_verdict.refused(one, "build", "it does not compile"))
    assert results.of((one,))[one.name].verdict == "refused earlier"


def test_the_baseline_is_remembered_by_criterion(tmp_path: Path) -> None:
    """The newest state counts; of another source it says nothing."""
    results = ProofResults(tmp_path / "results.jsonl", "source")
    results.add_baseline({"dev.api": "pass", "dev.log": "pass", "prod.certificate": "not applicable"})
    results.add_baseline({"dev.log": "inconclusive"})
    assert results.healthy() == {"dev.api", "prod.certificate"}
    assert ProofResults(results.path, "another source").healthy() == set()

"""What `gaia prove` prints and writes."""

import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from gaia_checks import files, tables
from gaia_checks.model import Log
from gaia_checks.prove import fault_catalogue, kill_matrix, proof, proof_document
from gaia_checks.prove.proof import Proof


def show_catalogue(name: str, patterns: Sequence[str]) -> None:
    """Print the faults that fit a pattern. Raises ConfigurationError."""
    known = proof.of(name)
    chosen = fault_catalogue.select(known.faults, patterns)
    tables.show(("fault", "what is broken"), [(fault.name, fault.what) for fault in chosen])


def prove(name: str, patterns: Sequence[str], jobs: int, page: Path | None, log: Log) -> int:
    """Try the faults that fit a pattern, print the kill matrix, write `page` about all faults; return the exit code."""
    known = proof.of(name)
    chosen = known.prove(patterns, jobs, log)
    found = known.results.of(chosen)
    tables.show(kill_matrix.HEAD, kill_matrix.rows(chosen, found))
    for criterion, figures in kill_matrix.by_criterion(chosen, found).items():
        log(f"{criterion}: {kill_matrix.text(figures)}")
    log(kill_matrix.text(kill_matrix.figures(chosen, found)))
    if page is not None:
        files.replace(page, _document(known))
    return proof.exit_code([found.get(fault.name) for fault in chosen])


def _document(known: Proof) -> str:
    """Return the page about the whole catalogue: what was not tried since a change stands there as not run."""
    about = f"Measured until {datetime.now(UTC):%Y-%m-%d} on a machine with {os.cpu_count()} CPUs."
    return proof_document.markdown(known.faults, known.results.of(known.faults), about)

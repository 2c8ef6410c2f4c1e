"""Evidence that is on this machine must be what the signed statement names, and give the same verdict again."""

from pathlib import Path

from gaia_checks import files
from gaia_checks.environment.environment import Environment
from gaia_checks.errors import EvidenceError
from gaia_checks.printable import printable
from gaia_checks.promotion.statements.statement import Statement
from gaia_checks.report import evidence


def compare(source: Environment, found: Statement) -> str:
    """Return what was done with the evidence of a verdict on `source`. Raises EvidenceError naming what differs."""
    folder = source.reports / source.name / found.predicate["run"]
    if not folder.exists():
        return f"the evidence of run {folder.name} is not on this machine: its signed statement is relied on"
    compare_folder(folder, found)
    return f"the verdict was computed again from {folder}"


def compare_folder(folder: Path, found: Statement) -> None:
    """Raise EvidenceError unless `folder` contains the evidence of a verdict, and gives the same verdict again."""
    stated = found.predicate["evidence"]
    here = evidence.hashes(folder)
    if (folder / evidence.VERDICT).exists():
        here[evidence.VERDICT] = files.sha256(folder / evidence.VERDICT)
    for name in sorted({*stated, *here}):
        if stated.get(name) != here.get(name):
            how = "is missing" if name not in here else "was added" if name not in stated else "was changed"
            raise EvidenceError(f"{folder}: {printable(name)} {how} since the statement was signed: run the gate again")
    again = evidence.recompute(folder)
    if (again.state, again.rehearsal) != (found.predicate["state"], found.predicate["rehearsal"]):
        raise EvidenceError(f"{folder}: its files say {again.state}, the statement {found.predicate['state']}")

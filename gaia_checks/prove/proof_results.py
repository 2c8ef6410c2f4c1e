"""What was proven so far, as JSON lines: a finished fault is tried again only if it, or the source, changed."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from gaia_checks import files, jsonl
from gaia_checks.environment import environment_file
from gaia_checks.environment.environment import Environment
from gaia_checks.prove.fault_catalogue import CataloguedFault
from gaia_checks.prove.fault_verdict import INCONCLUSIVE, ProofResult


@dataclass(frozen=True, slots=True)
class ProofResults:
    """The file of an environment's results; `source` is the sha256 of the server's source and of the gate."""

    path: Path
    source: str

    def add(self, fault: CataloguedFault, result: ProofResult) -> None:
        """Append a result."""
        self._append({**result.to_json(), "key": self._key(fault), "at": jsonl.now()})

    def add_baseline(self, states: Mapping[str, str]) -> None:
        """Append the states of a gate without a fault."""
        self._append({"baseline": dict(states), "key": self.source, "at": jsonl.now()})

    def healthy(self) -> set[str]:
        """Return the criteria that passed, or do not apply, without a fault."""
        found: dict[str, str] = {}
        for record in jsonl.read(self.path):
            if "baseline" in record and record["key"] == self.source:
                found |= record["baseline"]
        return {name for name, state in found.items() if state in ("pass", "not applicable")}

    def of(self, faults: tuple[CataloguedFault, ...]) -> dict[str, ProofResult]:
        """Return the newest result of each fault, if it is about this patch, source and gate."""
        keys = {fault.name: self._key(fault) for fault in faults}
        current = (each for each in jsonl.read(self.path) if keys.get(each.get("fault", "")) == each["key"])
        return {record["fault"]: ProofResult.from_json(record) for record in current}

    def finished(self, faults: tuple[CataloguedFault, ...]) -> set[str]:
        """Return the names of the faults that need not be tried again: the decided ones."""
        return {name for name, result in self.of(faults).items() if result.verdict != INCONCLUSIVE}

    def _append(self, record: Mapping[str, object]) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        jsonl.append(self.path, record)

    def _key(self, fault: CataloguedFault) -> str:
        return hashlib.sha256(f"{self.source}{files.sha256(fault.patch)}".encode()).hexdigest()


def path_for(environment: Environment) -> Path:
    """Return where an environment's results are."""
    return environment_file.reports_folder() / f"proof-{environment.name}.jsonl"

"""What became of a fault: caught, or how it got through. Pure."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from gaia_checks.prove.fault_catalogue import CataloguedFault

CAUGHT = "caught"
WRONG = "wrong criterion"
MISSED = "missed"
REFUSED = "refused earlier"
INCONCLUSIVE = "inconclusive"

KINDS = (CAUGHT, WRONG, MISSED, REFUSED, INCONCLUSIVE)
GOOD = (CAUGHT, REFUSED)
"""The fault did not get through, and what stopped it is right."""


@dataclass(frozen=True, slots=True)
class GateOutcome:
    """What one gate of a trial decided."""

    states: Mapping[str, str]  # criterion -> state
    reasons: Mapping[str, str]  # criterion -> why
    seconds: float  # from its start to its end
    trouble: str = ""  # why it left no verdict

    @property
    def failed(self) -> tuple[str, ...]:
        """The criteria that failed."""
        return tuple(name for name, state in self.states.items() if state == "fail")


@dataclass(frozen=True, slots=True)
class ProofResult:
    """One line of the kill matrix."""

    fault: str
    criterion: str
    what: str
    verdict: str  # one of KINDS
    reason: str
    seconds: float | None = None  # until the gate was red
    red: tuple[str, ...] = ()  # all criteria that failed

    def to_json(self) -> dict[str, Any]:
        """Return it as a record."""
        return asdict(self)

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> "ProofResult":
        """Return what `to_json` recorded, whatever else the record has."""
        fields = {name: record[name] for name in cls.__slots__ if name in record}
        return cls(**{**fields, "red": tuple(record["red"])})


def needs_another(fault: CataloguedFault, gates: Sequence[GateOutcome]) -> str | None:
    """Return what the next gate of a trial must judge: "own", "others", or None when it is decided.

    A gate stops at its first certain failure, so another criterion's may leave the fault's own undecided.
    """
    last = gates[-1]
    own = last.states.get(fault.criterion)
    if last.trouble or own == "fail" or len(gates) > 1:
        return None
    if last.failed and own != "pass":
        return "own"
    return "others" if own == "pass" and not last.failed else None


def judge(fault: CataloguedFault, gates: Sequence[GateOutcome]) -> ProofResult:
    """Return what the gates of one trial say about the fault."""
    red = tuple(dict.fromkeys(name for gate in gates for name in gate.failed))
    own = next((gate.states[fault.criterion] for gate in reversed(gates) if fault.criterion in gate.states), "")
    if fault.criterion in red:
        gate = next(gate for gate in gates if fault.criterion in gate.failed)
        return _result(fault, CAUGHT, gate.reasons[fault.criterion], gate.seconds, red)
    if red:
        gate = next(gate for gate in gates if gate.failed)
        return _result(fault, WRONG, f"{red[0]}: {gate.reasons[red[0]]}", gate.seconds, red)
    if trouble := next((gate.trouble for gate in gates if gate.trouble), ""):
        return _result(fault, INCONCLUSIVE, trouble)
    if own == "pass":
        passed = {name for gate in gates for name, state in gate.states.items() if state == "pass"}
        return _result(fault, MISSED, f"{fault.criterion} passed, and {len(passed) - 1} other criteria")
    return _result(fault, INCONCLUSIVE, gates[-1].reasons.get(fault.criterion) or f"{fault.criterion} was not judged")


def refused(fault: CataloguedFault, step: str, why: str) -> ProofResult:
    """Return the result of a fault that never served, because `step` refused it."""
    return _result(fault, REFUSED, f"{step}: {why}")


def undecided(fault: CataloguedFault, why: str) -> ProofResult:
    """Return the result of a fault that could not be tried."""
    return _result(fault, INCONCLUSIVE, why)


def beside(result: ProofResult, also: Collection[str]) -> list[str]:
    """Return the criteria that failed without being expected to."""
    return sorted(set(result.red) - {result.criterion, *also})


def _result(
    fault: CataloguedFault, verdict: str, reason: str, seconds: float | None = None, red: tuple[str, ...] = ()
) -> ProofResult:
    return ProofResult(fault.name, fault.criterion, fault.what, verdict, " ".join(reason.split()), seconds, red)

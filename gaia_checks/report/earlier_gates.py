"""The gates of an environment up to one of them, from the verdicts beside it.

They show whether a value is new. They decide nothing: only their verdict.json is read, and taken as it stands.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from gaia_checks import files
from gaia_checks.model import CriterionVerdict, State, Verdict
from gaia_checks.report import charts, document, evidence

MOST = 20
"""Gates of a history."""

UNREADABLE, UNFINISHED, FOREIGN = "could not be read", "did not finish", "belong to another environment"

_CRITERIA = (evidence.CRITERIA, f"{evidence.OWN}/{evidence.CRITERIA}")
_LARGEST_BYTES = 5_000_000  # a verdict has a twentieth of it
_LONGEST_NAME = 200  # characters


@dataclass(frozen=True, slots=True)
class PastGate:
    """One gate of a history."""

    verdict: Verdict
    started_at: datetime
    criteria: tuple[str | None, ...]  # sha256 of its criteria files: by others, a value may mean something else

    def of(self, criterion_id: str) -> CriterionVerdict | None:
        """Return its judgement of a criterion; None where its stage does not include it."""
        return next((each for each in self.verdict.criteria if each.id == criterion_id), None)

    def __str__(self) -> str:
        """Name it by its run and release: `run 20260226T100000Z-3fa9c1 (commit 0123456)`."""
        release = self.verdict.release
        built = (f"commit {release.commit[:7]}" if release.commit else release.phase,) if release else ()
        kind = ("rehearsal",) if self.verdict.rehearsal else ()
        details = ", ".join((*built, *kind))
        return f"run {self.verdict.run} ({details})" if details else f"run {self.verdict.run}"


@dataclass(frozen=True, slots=True)
class History:
    """The last gates of an environment."""

    gates: tuple[PastGate, ...]  # oldest first; the gate itself is the last
    left_out: Mapping[str, int]  # why -> folders beside it that are not among them

    def since(self, criterion_id: str) -> str:
        """Return since when a criterion has its state: `pass since 2026-02-26 (7 runs), before: fail`."""
        judged = [(gate, found.state) for gate in self.gates if (found := gate.of(criterion_id))]
        state = judged[-1][1]
        streak = next((n for n, (_, each) in enumerate(reversed(judged)) if each is not state), len(judged))
        earlier, gates = judged[:-streak], [gate for gate, _ in judged[-streak:]]
        verb = "fails" if state is State.FAIL else str(state)
        day = f"{gates[0].started_at:%Y-%m-%d}"
        unlike = ", ".join(f"{number} {what}" for what, number in _unlike(gates, gates[-1]).items())
        if len(judged) == 1:
            return f"{verb}; not judged before"
        if not earlier:
            which = "both" if streak == 2 else f"all {streak}"
            return f"{verb} in {which} runs since {day}" + (f" ({unlike})" if unlike else "")
        before, was = earlier[-1]
        then = ", before: " + " ".join((was, *_unlike([before], gates[0])))
        if state is State.FAIL:
            return f"{verb} since {gates[0]}{then}"
        runs = "this run" if streak == 1 else f"{streak} runs"
        return f"{verb} since {day} ({f'{runs}: {unlike}' if unlike else runs}){then}"

    def passed_last(self) -> dict[str, str]:
        """Return criterion -> gate in which it passed last, for each that fails now and passed before."""
        last: dict[str, str] = {}
        *earlier, now = self.gates
        for gate in earlier:
            changed = "" if gate.criteria == now.criteria else ", by other criteria"
            last |= {each.id: f"{gate}{changed}" for each in gate.verdict.criteria if each.state is State.PASS}
        return {each.id: last[each.id] for each in now.verdict.criteria if each.state is State.FAIL and each.id in last}


def _unlike(gates: Sequence[PastGate], gate: PastGate) -> dict[str, int]:
    """Return how many gates compare less with a gate than others: what -> number, without zeros."""
    numbers = {
        "in a rehearsal": sum(each.verdict.rehearsal > gate.verdict.rehearsal for each in gates),
        "by other criteria": sum(each.criteria != gate.criteria for each in gates),
    }
    return {what: number for what, number in numbers.items() if number}


def read(folder: Path, verdict: Verdict) -> History:
    """Return the history that ends with the gate in `folder`, from the folders beside it. Raises nothing."""
    now = PastGate(verdict, _moment(verdict), tuple(_sha256(folder / name) for name in _CRITERIA))
    found: dict[str, PastGate] = {}
    left_out: Counter[str] = Counter()
    for beside in _beside(folder):
        gate = _read(beside / evidence.VERDICT, verdict.environment)
        if isinstance(gate, str):
            left_out[gate] += 1
        elif gate.verdict.run != verdict.run and gate.started_at <= now.started_at:
            found[gate.verdict.run] = gate
        if len(found) == MOST - 1:
            break
    return History((*sorted(found.values(), key=lambda gate: gate.started_at), now), left_out)


def _beside(folder: Path) -> Iterator[Path]:
    """Yield the other gates' folders, newest first: their names begin with the time."""
    own = folder.resolve()
    try:
        named = sorted(own.parent.iterdir(), key=lambda path: path.name, reverse=True)
    except OSError:
        return
    yield from (path for path in named if path != own and path.is_dir() and not path.is_symlink())


def _read(path: Path, environment: str) -> PastGate | str:
    """Return the gate of a verdict.json, or why it is left out."""
    try:
        verdict, sealed = document.from_json(_json(path))
        started_at = _moment(verdict)
        _check_shown(verdict)
    except (OSError, KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError):
        return UNREADABLE
    if verdict.environment != environment:
        return FOREIGN
    if sealed is None:
        return UNFINISHED
    return PastGate(verdict, started_at, tuple(sealed.get(name) for name in _CRITERIA))


def _json(path: Path) -> Mapping[str, object]:
    """Read a JSON object of limited size; numbers too large to be drawn become infinite."""
    if not path.is_file():  # a pipe would be waited for
        raise OSError(f"{path}: not a file")
    with path.open("rb") as file:
        content = file.read(_LARGEST_BYTES + 1)
    if len(content) > _LARGEST_BYTES:
        raise ValueError(f"{path}: too large for a verdict")
    record: Mapping[str, object] = json.loads(content, parse_int=float)
    return record


def _moment(verdict: Verdict) -> datetime:
    """Return when the gate started, in UTC. Raises ValueError without a time zone: such times cannot be compared."""
    moment = datetime.fromisoformat(verdict.started_at)
    if moment.tzinfo is None:
        raise ValueError(f"{verdict.started_at}: no time zone")
    return moment.astimezone(UTC)


def _check_shown(verdict: Verdict) -> None:
    """Raise TypeError unless what the report shows of a verdict has the types and lengths of a gate's."""
    release, checks = verdict.release, [check for each in verdict.criteria for check in each.checks]
    names: list[object] = [verdict.run, verdict.stage, *(each.id for each in verdict.criteria)]
    names += [release.phase, release.sha256, "" if release.commit is None else release.commit] if release else []
    names += [name for check in checks for name in (check.measurement, check.unit, check.relation)]
    names += [check.threshold for check in checks if not _is_plain(check.threshold)]
    if not all(isinstance(name, str) and len(name) <= _LONGEST_NAME for name in names):
        raise TypeError(f"{verdict.run}: a name is not a short text")
    if not all(_is_plain(number) for check in checks for number in (check.bound, check.n)):
        raise TypeError(f"{verdict.run}: a bound is not a number")
    if not isinstance(verdict.rehearsal, bool):
        raise TypeError(f"{verdict.run}: neither a rehearsal nor none")
    if not all(isinstance(check.measured, str) or _is_plain(check.measured) for check in checks):
        raise TypeError(f"{verdict.run}: a value is not one of a gate")


def _is_plain(value: object) -> bool:
    return value is None or isinstance(value, bool) or charts.is_number(value)


def _sha256(path: Path) -> str | None:
    return files.sha256(path) if path.exists() else None

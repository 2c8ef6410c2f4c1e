"""Read criteria.toml: the criteria of each stage. Unknown keys and rules are refused.

A user's own file adds looks and criteria to ours, in the same form, and changes none of ours.
"""

import math
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from gaia_checks.errors import CriteriaFileError
from gaia_checks.judge import applicability, own_criteria, stalls
from gaia_checks.judge.analyses import ends_s
from gaia_checks.judge.check_rules import Analysis
from gaia_checks.judge.statistics import Sample, seconds_needed
from gaia_checks.model import CAPABILITIES, STAGES, Check, Criterion

PATH = Path(__file__).with_name("criteria.toml")
"""The project's own criteria."""

RULES = (
    "all_good", "at_least", "at_most", "equals", "proportion", "percentile", "trend", "false_allows", "false_denies",
    "paired_ratio", "more_failures",
)  # fmt: skip

Looks = Mapping[str, Mapping[str, float]]


@dataclass(frozen=True, slots=True)
class Criteria:
    """Every criterion, and the parameters of its look in this environment."""

    criteria: tuple[Criterion, ...]
    looks: Looks  # with the environment's parameters in place of criteria.toml's
    rehearsal: bool  # a window, rate or count is below criteria.toml's, or an interval above
    machine: Mapping[str, float] = field(default_factory=dict)  # limits beyond which a machine is too small for a load
    unchecked: Mapping[str, str] = field(default_factory=dict)  # pattern of measurements without a check -> why

    def for_stage(self, stage: str) -> tuple[Criterion, ...]:
        """Return the criteria of `stage`: its own and those of the stages before it."""
        included = STAGES[: STAGES.index(stage) + 1]
        return tuple(criterion for criterion in self.criteria if criterion.stage in included)

    def unexplained(self, names: Iterable[str]) -> list[str]:
        """Return the measurements that no check is about, and for which `unchecked` gives no reason."""
        checks = [check for criterion in self.criteria for check in criterion.checks]
        used = {name for check in checks for name in (check.measurement, check.explained_by)}
        return sorted(
            name for name in set(names) - used if not any(fnmatchcase(name, pattern) for pattern in self.unchecked)
        )


def load(
    path: Path = PATH,
    overrides: Looks | None = None,
    source: str = "the environment file",
    own: Path | None = None,
    limits: Mapping[str, float] | None = None,
) -> Criteria:
    """Read `path`, and the user's `own` file, and apply the look parameters and limits of an environment (`source`).

    Raises CriteriaFileError for an unknown key, rule or look, and for bursts that the longest window is too short for.
    """
    document = _parse(path)
    _known(path.name, "", document, {"looks", "machine", "honesty", "unchecked", "criteria"})
    added = own_criteria.check(str(own), _parse(own), document) if own else {}
    nominal: Looks = {**document["looks"], **added.get("looks", {})}
    looks = _override(nominal, overrides or {}, source)
    limits = limits or {}
    _known(source, "no_regression.", limits, _limit_names(document["criteria"]))
    honesty = {
        look: _checks(f"{path.name}: honesty.{look}", table, looks.get(look, {}), generator=True)
        for look, table in document.get("honesty", {}).items()
    }
    criteria = tuple(
        _criterion(where, key, table, looks, honesty, limits)
        for where, tables in ((path.name, document["criteria"]), (str(own), added.get("criteria", {})))
        for key, table in tables.items()
    )
    rehearsal = _lowered(nominal, looks)
    if not rehearsal:  # a rehearsal assumes no bursts
        for criterion in criteria:
            _can_pass(source, criterion, looks[criterion.look])
    unchecked = {**document.get("unchecked", {}), **added.get("unchecked", {})}
    return Criteria(criteria, looks, rehearsal, document.get("machine", {}), unchecked)


def _parse(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise CriteriaFileError(f"{path}: not found; restore it, no verdict is possible without criteria") from error
    except (OSError, UnicodeDecodeError) as error:
        raise CriteriaFileError(f"{path}: cannot be read: {error}") from error
    except tomllib.TOMLDecodeError as error:
        raise CriteriaFileError(f"{path.name}: not valid TOML: {error}") from error


def _override(nominal: Looks, overrides: Looks, source: str) -> Looks:
    for look, table in overrides.items():
        if look not in nominal:
            raise CriteriaFileError(f"{source}: looks.{look}: unknown look; known: {', '.join(sorted(nominal))}")
        for key in table:
            if key not in nominal[look]:
                known = ", ".join(sorted(nominal[look])) or "none"
                raise CriteriaFileError(f"{source}: looks.{look}.{key}: unknown key; known here: {known}")
    looks = {look: {**table, **overrides.get(look, {})} for look, table in nominal.items()}
    for look, table in looks.items():
        if table.get("max_window_s", math.inf) < table.get("window_s", 0):
            raise CriteriaFileError(
                f"{source}: looks.{look}: max_window_s ({table['max_window_s']:g}) is less than window_s "
                f"({table['window_s']:g}); set both"
            )
    return looks


def _lowered(nominal: Looks, looks: Looks) -> bool:
    return any(
        _is_less(key, looks[look][key], value) for look, table in nominal.items() for key, value in table.items()
    )


def _is_less(key: str, value: float, nominal: float) -> bool:
    """Whether this parameter makes a look observe less: a longer interval, delay or tolerance, else a lower value."""
    if key.endswith(("interval_s", "_within_s", "tolerance_s")):
        return value > nominal
    return value < nominal


def _can_pass(source: str, criterion: Criterion, parameters: Mapping[str, float]) -> None:
    """Refuse bursts that the longest window is too short for: the gate would end undecided hours later."""
    longest_s, last = criterion.max_window_s, Analysis(criterion.looks_s, len(criterion.looks_s) - 1, rehearsal=False)
    for check in criterion.checks:
        if check.burst_s is None:
            continue
        burst = parameters["rate_per_s"] * check.burst_s
        flawless = Sample(parameters["rate_per_s"] * longest_s, 0, 1, burst, ())
        more_s = seconds_needed(flawless, longest_s, check.share, last.alphas(flawless.n, check.share, burst))
        if more_s:
            raise CriteriaFileError(
                f"{source}: looks.{criterion.look}: not even a flawless load of {longest_s:g} s passes {criterion.id} "
                f"where requests may fail {check.burst_s:g} s at a time; "
                f"set max_window_s = {longest_s + more_s:g} or more"
            )


def _criterion(
    where: str,
    key: str,
    table: dict[str, Any],
    looks: Looks,
    honesty: Mapping[str, tuple[Check, ...]],
    limits: Mapping[str, float],
) -> Criterion:
    label = f'{where}: criteria."{key}"'
    _known(label, "", table, {"claim", "look", "needs", "applies_when", "checks"})
    look, applies_when = str(table.get("look")), table.get("applies_when")
    if key.partition(".")[0] not in STAGES:
        raise CriteriaFileError(f"{label}: an id must start with its stage: one of {', '.join(STAGES)}")
    if look not in looks:
        raise CriteriaFileError(f"{label}: unknown look {look!r}; known: {', '.join(sorted(looks))}")
    if applies_when not in (None, *applicability.FACTS):
        known = ", ".join(applicability.FACTS)
        raise CriteriaFileError(f"{label}: applies_when: unknown fact {applies_when!r}; known: {known}")
    needs = tuple(table.get("needs", ()))
    for name in (name for need in needs for name in need.split(" or ")):
        if name not in CAPABILITIES:
            raise CriteriaFileError(f"{label}: needs: unknown capability {name!r}; known: {', '.join(CAPABILITIES)}")
    window_s = looks[look].get("window_s", 0)
    max_window_s = looks[look].get("max_window_s", window_s)
    return Criterion(
        id=key,
        claim=table["claim"],
        look=look,
        window_s=window_s,
        max_window_s=max_window_s,
        looks_s=ends_s(window_s, max_window_s),
        checks=(*honesty.get(look, ()), *_checks(label, _limited(table, limits), looks[look])),
        needs=needs,
        applies_when=applies_when,
        lacks_limits=bool(names := _limit_names({key: table})) and names.isdisjoint(limits),
    )


def _limit_names(criteria: Mapping[str, Any]) -> set[str]:
    """Return the names of the limits that an environment file may give."""
    return {check["limit"] for table in criteria.values() for check in table.get("checks", ()) if "limit" in check}


def _limited(table: Mapping[str, Any], limits: Mapping[str, float]) -> dict[str, Any]:
    """Return a criterion with the environment's limits as thresholds, without the checks that have none."""
    checks = []
    for check in table.get("checks", ()):
        rest = {name: value for name, value in check.items() if name != "limit"}
        if (limit := check.get("limit")) in limits:
            rest["threshold"] = limits[limit]
        if limit is None or "threshold" in rest:
            checks.append(rest)
    return {**table, "checks": checks}


def _checks(
    label: str, table: dict[str, Any], parameters: Mapping[str, float], *, generator: bool = False
) -> tuple[Check, ...]:
    checks = table.get("checks")
    if not checks:
        raise CriteriaFileError(f"{label}: no checks; a criterion that checks nothing would always pass")
    return tuple(_check(label, check, parameters, generator=generator) for check in checks)


def _check(label: str, table: dict[str, Any], parameters: Mapping[str, float], *, generator: bool) -> Check:
    _known(
        label,
        "checks.",
        table,
        {
            "measurement",
            "rule",
            "threshold",
            "unit",
            "min_n",
            "percentile",
            "burst",
            "excuses",
            "certain",
            "explained_by",
            "optional",
            "closing",
            "on_copy",
        },
    )
    if table.get("rule") not in RULES:
        raise CriteriaFileError(f"{label}: unknown rule {table.get('rule')!r}; known: {', '.join(RULES)}")
    if table.get("explained_by") and table["rule"] not in stalls.RULES:
        raise CriteriaFileError(
            f"{label}: explained_by requires the rule {' or '.join(stalls.RULES)}, not {table['rule']}; remove it"
        )
    rest = dict(table)
    burst = rest.pop("burst", None)
    if burst is not None and burst not in parameters:
        known = ", ".join(sorted(parameters)) or "none"
        raise CriteriaFileError(f"{label}: burst {burst!r} is not a parameter of its look; known: {known}")
    try:
        return Check(**rest, burst_s=parameters[burst] if burst else None, generator=generator)
    except TypeError as error:
        raise CriteriaFileError(f"{label}: a check needs measurement, rule, threshold and unit: {table!r}") from error


def _known(where: str, prefix: str, table: Mapping[str, Any], known: set[str]) -> None:
    for key in table:
        if key not in known:
            raise CriteriaFileError(f"{where}: {prefix}{key}: unknown key; known here: {', '.join(sorted(known))}")

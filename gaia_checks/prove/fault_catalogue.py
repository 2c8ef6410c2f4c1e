"""The catalogue of faults: `faults/<criterion>/<name>.patch`, a header and a unified diff of the server's source.

What: HEAD /api/admin/quotas/config is answered without a token
Why: the method check compares with "GET" only
Criterion: qa.access
Also: dev.api                      optional: further criteria that the fault may fail
Window: 45 s                       optional: how long the criterion's look takes to show it, where a trial's is shorter

diff --git a/gaia_server/auth.py b/gaia_server/auth.py
"""

import fnmatch
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from gaia_checks.errors import ConfigurationError

_REQUIRED = ("What", "Why", "Criterion")
_OPTIONAL = ("Also", "Window")
_HEADER = re.compile(r"([A-Z][a-z]+): +(\S.*)")
_WINDOW = re.compile(r"([1-9]\d*) s")
_DIFF = re.compile(r"^(diff --git |--- )", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class CataloguedFault:
    """One fault, and the criterion that must fail because of it."""

    name: str  # "qa.access/head-needs-no-token"
    criterion: str
    what: str
    why: str
    also: frozenset[str]  # further criteria that it may fail
    patch: Path
    window_s: float | None = None  # of the criterion's look, where a trial's is too short


def read(folder: Path, known: Collection[str]) -> tuple[CataloguedFault, ...]:
    """Return the faults below `folder`, by name; `known` are the ids of all criteria. Raises ConfigurationError."""
    found = tuple(_fault(folder, path, known) for path in sorted(folder.glob("*/*.patch")))
    if not found:
        raise ConfigurationError(f"{folder}: no fault there; add one as CRITERION/NAME.patch (docs/how-to/prove.md)")
    return found


def select(faults: Sequence[CataloguedFault], patterns: Sequence[str]) -> tuple[CataloguedFault, ...]:
    """Return the faults whose name fits a pattern, or a part of it; all without patterns. Raises ConfigurationError."""
    for pattern in patterns:
        if not any(_fits(fault, pattern) for fault in faults):
            raise ConfigurationError(f"prove: no fault fits {pattern!r}; see: gaia prove --list")
    return tuple(fault for fault in faults if not patterns or any(_fits(fault, each) for each in patterns))


def _fits(fault: CataloguedFault, pattern: str) -> bool:
    return fnmatch.fnmatchcase(fault.name, f"*{pattern}*")


def _fault(folder: Path, path: Path, known: Collection[str]) -> CataloguedFault:
    where, text = path.relative_to(folder).as_posix(), path.read_text(encoding="utf-8")
    start = _DIFF.search(text)
    if start is None:
        raise ConfigurationError(f"{where}: no unified diff below the header; write one with git diff")
    header = _header(where, text[: start.start()])
    also = frozenset(re.split(r"[,\s]+", header["Also"])) if "Also" in header else frozenset[str]()
    if header["Criterion"] != path.parent.name:
        raise ConfigurationError(f"{where}: Criterion: {header['Criterion']} is not the folder's, {path.parent.name}")
    if unknown := sorted({header["Criterion"], *also} - set(known)):
        raise ConfigurationError(f"{where}: {unknown[0]} is no criterion; known: {', '.join(sorted(known))}")
    return CataloguedFault(
        where.removesuffix(".patch"),
        header["Criterion"],
        header["What"],
        header["Why"],
        also,
        path.absolute(),
        _window_s(where, header.get("Window")),
    )


def _window_s(where: str, text: str | None) -> float | None:
    found = _WINDOW.fullmatch(text or "")
    if text and found is None:
        raise ConfigurationError(f"{where}: Window: {text}: give whole seconds, e.g. 45 s")
    return float(found[1]) if found else None


def _header(where: str, text: str) -> dict[str, str]:
    header: dict[str, str] = {}
    for line in filter(str.strip, text.splitlines()):
        found = _HEADER.fullmatch(line.rstrip())
        if found is None or found[1] not in (*_REQUIRED, *_OPTIONAL) or found[1] in header:
            raise ConfigurationError(
                f"{where}: {line!r}: write {', '.join(_REQUIRED)} and perhaps {' or '.join(_OPTIONAL)}, once each"
            )
        header[found[1]] = found[2]
    if missing := [name for name in _REQUIRED if name not in header]:
        raise ConfigurationError(f"{where}: {missing[0]}: missing; see docs/how-to/prove.md")
    return header

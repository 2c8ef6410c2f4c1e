"""Parses /metrics: the Prometheus text format 0.0.4, as strictly as Prometheus does. Pure."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

_SAMPLE = re.compile(r"([a-zA-Z_:][\w:]*)\s*(?:\{(.*)\})?\s+([^\s_]+)(?:\s+(-?\d+))?", re.ASCII)
_LABEL = re.compile(r'\s*([a-zA-Z_]\w*)\s*=\s*"((?:[^"\\]|\\.)*)"\s*(?:,\s*|$)', re.ASCII)
_SUFFIXES = {"histogram": ("_bucket", "_sum", "_count"), "summary": ("", "_sum", "_count")}


@dataclass(frozen=True, slots=True)
class MetricSample:
    """One series and its current value."""

    name: str
    labels: Mapping[str, str]  # values as written, with escapes
    value: float
    timed: bool = False  # it has its own timestamp, which overrides Prometheus' clock

    def has(self, labels: Mapping[str, str]) -> bool:
        """Whether it carries all these labels."""
        return labels.items() <= self.labels.items()


@dataclass(frozen=True)
class Exposition:
    """One answer of /metrics; empty for an unreadable one."""

    samples: Mapping[str, tuple[MetricSample, ...]] = field(default_factory=dict)  # by name
    types: Mapping[str, str] = field(default_factory=dict)  # family -> "counter"
    helps: frozenset[str] = frozenset()  # families that have a HELP

    def total(self, name: str, labels: Mapping[str, str]) -> float:
        """Return the sum of all series of that name that carry these labels; 0 if there are none."""
        return sum(sample.value for sample in self.samples.get(name, ()) if sample.has(labels))

    def increase(self, earlier: "Exposition", name: str, labels: Mapping[str, str]) -> float:
        """Return by how much that total is above the one of an earlier answer."""
        return self.total(name, labels) - earlier.total(name, labels)

    def names(self) -> frozenset[str]:
        """Return every metric, also those without an event yet, whose TYPE is already declared."""
        declared = {family + suffix for family, kind in self.types.items() for suffix in _SUFFIXES.get(kind, ("",))}
        return frozenset(declared | self.samples.keys())

    def labels(self, name: str) -> frozenset[str]:
        """Return every label that a series of that name carries."""
        return frozenset(label for sample in self.samples.get(name, ()) for label in sample.labels)

    def faults(self) -> Iterator[str | None]:
        """Yield the fault of each family, None for a good one."""
        for family in sorted(self.types.keys() | self.helps | set(map(self._family, self.samples))):
            lacking = [
                word for word, declared in (("TYPE", self.types), ("HELP", self.helps)) if family not in declared
            ]
            yield f"{family} has no {' and no '.join(lacking)}" if lacking else self._wrong_time(family)

    def _family(self, name: str) -> str:
        for suffix in ("_bucket", "_sum", "_count"):
            family = name.removesuffix(suffix)
            if suffix in _SUFFIXES.get(self.types.get(family, ""), ()):
                return family
        return name

    def _wrong_time(self, family: str) -> str | None:
        of_family = (series for name, series in self.samples.items() if self._family(name) == family)
        timed = any(sample.timed for series in of_family for sample in series)
        return f"{family} has its own timestamps: Prometheus would use them, however old" if timed else None


def read(text: str) -> Exposition:
    """Read one answer. Raises ValueError, naming the line that is wrong."""
    samples: dict[str, dict[tuple[tuple[str, str], ...], MetricSample]] = {}
    types: dict[str, str] = {}
    helps: set[str] = set()
    for line in filter(None, map(str.strip, text.split("\n"))):
        match line.split(None, 3):
            case ["#", "TYPE", family, kind]:
                types[family] = kind
            case ["#", "HELP", family, *_]:
                helps.add(family)
            case [hash_sign, *_] if hash_sign.startswith("#"):
                continue
            case _:
                sample = _sample(line)
                series = samples.setdefault(sample.name, {})
                if series.setdefault(tuple(sorted(sample.labels.items())), sample) is not sample:
                    raise ValueError(f"duplicate series: {line}")
    return Exposition({name: tuple(series.values()) for name, series in samples.items()}, types, frozenset(helps))


def _sample(line: str) -> MetricSample:
    found = _SAMPLE.fullmatch(line)
    if found is None:
        raise ValueError(f"not a sample of the Prometheus text format: {line}")
    name, labels, value, time = found.groups()
    try:
        return MetricSample(name, dict(_labels(labels or "")), float(value), timed=time is not None)
    except ValueError as error:
        raise ValueError(f"{error}: {line}") from None


def _labels(text: str) -> Iterator[tuple[str, str]]:
    at = 0
    while at < len(text):
        found = _LABEL.match(text, at)
        if found is None:
            raise ValueError(f"invalid label: {text[at:]!r}")
        yield found[1], found[2]
        at = found.end()

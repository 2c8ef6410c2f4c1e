"""What one instance says of itself in /health, sample by sample, and how it differs from the others. Pure."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gaia_checks.target.samples import Score

IDENTITY = ("version", "digest", "commit", "schema")
"""What must be the same in /health of all instances; the contract demands the first two."""

_SLACK_S = 2.0  # two machines' clocks, and a machine that stood still
_SHOWN = 19  # "sha256:" and 12 digits


@dataclass(frozen=True, slots=True)
class HealthSample:
    """One answer of /health, or why there is none. Times are seconds of one clock."""

    sent_s: float
    received_s: float
    body: Mapping[str, Any]  # empty without one
    wrong: str | None = None  # why it is not healthy

    @property
    def identity(self) -> Mapping[str, str]:
        """What it runs."""
        return {name: str(self.body[name]) for name in IDENTITY if self.body.get(name)}

    @property
    def uptime_s(self) -> float | None:
        """The reported age of the process."""
        uptime_s = self.body.get("uptime_s")
        return float(uptime_s) if isinstance(uptime_s, int | float) else None


@dataclass(slots=True)
class Instance:
    """The samples of one instance."""

    address: str
    identities: list[Mapping[str, str]] = field(default_factory=list)  # each once, in the order of appearance
    restarts: list[str] = field(default_factory=list)
    _last: HealthSample | None = None  # with an uptime

    def add(self, t_s: float, sample: HealthSample, answers: Score) -> None:
        """Take the sample that was requested `t_s` seconds after the start."""
        answers.add(f"{self.address}, {t_s:.0f} s after the start: {sample.wrong}" if sample.wrong else None)
        if sample.identity and sample.identity not in self.identities:
            self.identities.append(sample.identity)
        if sample.uptime_s is None:
            return
        if self._last and _restarted(self._last, sample):
            self.restarts.append(
                f"{self.address} was restarted: {t_s:.0f} s after the start it had run for {sample.uptime_s:.0f} s"
            )
        self._last = sample


def _restarted(before: HealthSample, now: HealthSample) -> bool:
    """Whether a younger process answers than the one that answered before could be."""
    assert before.uptime_s is not None  # noqa: S101 - for the type checker: only such samples are kept
    assert now.uptime_s is not None  # noqa: S101 - the same
    return now.uptime_s < before.uptime_s + (now.sent_s - before.received_s) - _SLACK_S


def same(instances: Sequence[Instance]) -> tuple[Score, str]:
    """Count the instances that always ran what most of them run; return what that is as well, as text."""
    score, most = Score(), _most([each.identities[0] for each in instances if each.identities])
    for each in instances:
        other = [identity for identity in each.identities if identity != most]
        if not each.identities:
            score.add(f"{each.address} does not say what it runs")
        elif other:
            score.add(f"{each.address} runs {_difference(other[0], most)}")
        else:
            score.add(None)
    return score, ", ".join(f"{name} {value[:_SHOWN]}" for name, value in most.items()) or "nothing that is known"


def _most(identities: Sequence[Mapping[str, str]]) -> Mapping[str, str]:
    """Return the most frequent one, of several the first; empty without any."""
    counted = Counter(tuple(identity.items()) for identity in identities)
    return dict(counted.most_common(1)[0][0]) if counted else {}


def _difference(identity: Mapping[str, str], most: Mapping[str, str]) -> str:
    names = [name for name in IDENTITY if identity.get(name) != most.get(name)]
    return ", ".join(
        f"{name} {identity.get(name, 'none')[:_SHOWN]} instead of {most.get(name, 'none')[:_SHOWN]}" for name in names
    )

"""The plan of one sending process, as a value. Every engine can execute it. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Self

from gaia_checks.load.plan import arrival_schedule
from gaia_checks.load.plan.request_mix import Mix


@dataclass(frozen=True, slots=True)
class LoadPlan:
    """A part of a load: worker `worker` of `workers` sends every `workers`-th arrival."""

    url: str
    rate: str  # in the format of arrival_schedule.parse
    window_s: float
    looks_s: tuple[float, ...] = ()  # times within the window; the requests due by then are judged
    arrivals: str = "constant"
    seed: int = 0
    worker: int = 0
    workers: int = 1
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)  # contain secrets
    mix: Mix | None = None  # None: the locustfile has tasks

    def due(self) -> Iterator[tuple[int, float]]:
        """Yield (index in the whole load, seconds after the start) of every arrival of this part."""
        times = arrival_schedule.due(arrival_schedule.parse(self.rate), self.arrivals, self.seed)
        return arrival_schedule.until(arrival_schedule.part(times, self.worker, self.workers), self.window_s)

    def due_by_looks(self) -> tuple[int, ...]:
        """Return the number of arrivals of the whole load that are due before each of `looks_s`."""
        profile = arrival_schedule.parse(self.rate)
        return tuple(arrival_schedule.due_before(profile, end_s, self.arrivals, self.seed) for end_s in self.looks_s)

    def quiet_s(self) -> float:
        """Return the offset after a full second that lies between two evenly spaced arrivals, for reporting."""
        return min(0.5, 0.5 / arrival_schedule.parse(self.rate).peak_per_s)

    def to_json(self) -> dict[str, Any]:
        """Return the plan as JSON."""
        return {**asdict(self), "mix": self.mix and self.mix.to_json()}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """Read what `to_json` wrote."""
        return cls(**{**document, "mix": document["mix"] and Mix.from_json(document["mix"])})

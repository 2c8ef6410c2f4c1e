"""What one process has to send, as a value. Any engine can carry it out. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Self

from gaia_checks.load.plan import arrival_schedule
from gaia_checks.load.plan.request_mix import Mix


@dataclass(frozen=True, slots=True)
class Plan:
    """A part of a load: worker `worker` of `workers` sends every `workers`-th arrival."""

    url: str
    rate: str  # as schedule.parse reads it
    window_s: float
    looks_s: tuple[float, ...] = ()  # moments within the window at which what was due until then is judged
    arrivals: str = "constant"
    seed: int = 0
    worker: int = 0
    workers: int = 1
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)  # secrets are in them
    mix: Mix | None = None  # None: a locustfile with tasks of its own

    def due(self) -> Iterator[tuple[int, float]]:
        """Yield (index in the whole load, seconds after the start) of every arrival of this part."""
        times = arrival_schedule.due(arrival_schedule.parse(self.rate), self.arrivals, self.seed)
        return arrival_schedule.until(arrival_schedule.part(times, self.worker, self.workers), self.window_s)

    def quiet_s(self) -> float:
        """Return how far behind a full second there is no arrival, if they are evenly spaced: work is done there."""
        return min(0.5, 0.5 / arrival_schedule.parse(self.rate).peak_per_s)

    def to_json(self) -> dict[str, Any]:
        """Return the plan as JSON."""
        return {**asdict(self), "mix": self.mix and self.mix.to_json()}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """Read what `to_json` wrote."""
        return cls(**{**document, "mix": document["mix"] and Mix.from_json(document["mix"])})

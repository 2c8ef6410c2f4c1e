"""The schedule of a gate's looks, as data: which of them measure at the same time. Pure.

A load measures latency, so nothing that slows the server or this machine runs in parallel: the probes, the browser,
the rehearsal copies, the bursts against limits and the events of the soak come before the first load, and loads run
one after the other. Looks that only read and listen are recorded all the time. What needs a target without any rule of
the gate frames all of them.
"""

import itertools
import math
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import astuple, dataclass

from gaia_checks.judge.criteria_file import Looks
from gaia_checks.recorders.instances import shared_state
from gaia_checks.recorders.limits import burst_plan
from gaia_checks.recorders.soak import trigger_events

RECORDED = ("log", "soak", "memory", "connections", "limits", "instances")
"""Looks that are recorded from the start, by separate processes."""

UPKEEP = "upkeep"
"""What a server does by itself, on a rehearsal copy that nobody else uses: measured for several looks at once."""

UPKEEP_FOR = ("database", "migrations", "connections", "memory", "figures", "soak", "shutdown")
"""The looks that it measures for, of which it takes those that are wanted."""

LANES = ((UPKEEP, "fresh_install"), ("outage", "resources"))
"""Looks on rehearsal copies, while the tests run and before the loads: a thread of the gate for each lane."""

BESIDE = tuple(itertools.chain(*LANES))

COMPARISON = "no_regression"
"""Two releases side by side on rehearsal copies, by a thread of the gate: after all that disturbs, before the loads."""

LOAD = "load"
PROTECTION = "protection"

LOADS = (PROTECTION, LOAD)
"""Looks that put a load on the target, in their order: never two at once."""

IN_TURN = (COMPARISON, *LOADS)
"""Looks that wait until nothing disturbs them and each other, in their order."""

FIRST = ("health", "api")
"""The looks that run before all others, and are taken even when one of them has failed: they say what is wrong."""

LAST = "process"
"""The look that runs after all others: whether the verified process still runs."""

UNANNOUNCED = "unannounced"
"""A client without key and token: before the gate's first rule and after its last, where its limits are judged."""

_UNANNOUNCED_S = 1.5
"""Its requests, and the second in which a limit forgets them."""

_SECONDS = {
    "dashboard": 6.0,
    "figures": 9.0,
    "shutdown": 8.0,
    "fresh_install": 14.0,
    "outage": 36.0,
    "resources": 15.0,
    UPKEEP: 30.0,
    "identity": 7.0,
    "access": 1.0,
    "quotas": 9.0,
    "rollback": 13.0,
    "websocket": 6.0,
    "health": 2.0,
    COMPARISON: 18.0,
}
"""Approximate durations of the tests' longer looks, and of the comparison."""

_AROUND_A_LOAD_S = 4.0
"""Starting the load generator, and waiting for the last responses."""


@dataclass(frozen=True, slots=True)
class Slot:
    """The time that one look takes, in seconds since the gate's first request."""

    look: str
    starts_s: float
    ends_s: float
    longest_s: float  # when it ends if it is extended as far as it may


def before_loads(look: str) -> bool:
    """Whether a test's look must end before the first load starts."""
    return look not in (*RECORDED, *IN_TURN, LAST)


def order(look: str) -> tuple[int, float]:
    """Return the rank of a test's look among those that probe: what comes first, then the shortest."""
    return (FIRST.index(look) - len(FIRST), 0.0) if look in FIRST else (0, test_s(look))


def test_s(look: str) -> float:
    """Return the approximate duration of a test's look."""
    return _SECONDS.get(look, 1.0)


def slots(looks: Looks, wanted: Collection[str]) -> list[Slot]:
    """Return the slots of the wanted looks, in order, if the tests run one after the other."""
    recorded = [_recorded(looks, look) for look in RECORDED if look in wanted]
    found = [*recorded, *_beside(wanted), *_tests(wanted), *_comparison_and_loads(looks, wanted)]
    return _framed(found) if "limits" in wanted else found


def loads_start_s(looks: Looks, wanted: Collection[str]) -> float:
    """Return about when the comparison, or else the first load, may start: after every look that would disturb it."""
    ends_s = [slot.ends_s for slot in (*_beside(wanted), *_tests(wanted))]
    ends_s += [_recorded(looks, "limits").ends_s] if "limits" in wanted else []
    return max((*ends_s, events_end_s(looks, wanted)))


def events_end_s(looks: Looks, wanted: Collection[str]) -> float:
    """Return when the quiet recorders have sent all they send: the soak's events, and the trial of the instances."""
    ends_s = [0.0]
    if "soak" in wanted:
        ends_s.append(trigger_events.starts_s(looks["soak"]["window_s"]) + trigger_events.LASTS_S)
    if "instances" in wanted:
        ends_s.append(shared_state.LASTS_S)
    return max(ends_s)


def expected_s(looks: Looks, wanted: Collection[str]) -> float:
    """Return about how long a gate of the wanted looks takes when its loads need no extension."""
    return math.ceil(max((slot.ends_s for slot in slots(looks, wanted)), default=0.0))


def longest_s(looks: Looks, wanted: Collection[str]) -> float:
    """Return about how long it takes when its loads are extended to their longest windows."""
    return math.ceil(max((slot.longest_s for slot in slots(looks, wanted)), default=0.0))


def load_s(looks: Looks, look: str) -> float:
    """Return about how long a load takes from its start to its end, without extension."""
    return looks[look]["window_s"] + _AROUND_A_LOAD_S


def _recorded(looks: Looks, look: str) -> Slot:
    window_s = looks[look]["window_s"]
    ends_s = min(window_s, burst_plan.ENDS_S) if look == "limits" else window_s
    return Slot(look, 0.0, ends_s, ends_s)


def _framed(found: Sequence[Slot]) -> list[Slot]:
    """Put the client without key and token before all looks and after them."""
    lasts_s = _UNANNOUNCED_S
    later = [Slot(each.look, *(moment + lasts_s for moment in astuple(each)[1:])) for each in found]
    ends_s, longest_s = max(each.ends_s for each in later), max(each.longest_s for each in later)
    first, last = (0.0, lasts_s, lasts_s), (ends_s, ends_s + lasts_s, longest_s + lasts_s)
    return [Slot(UNANNOUNCED, *first), *later, Slot(UNANNOUNCED, *last)]


def beside(lane: Iterable[str], wanted: Collection[str]) -> list[str]:
    """Return the looks of a lane to take, in their order."""
    return [look for look in lane if look in wanted or (look == UPKEEP and not set(UPKEEP_FOR).isdisjoint(wanted))]


def _beside(wanted: Collection[str]) -> list[Slot]:
    return [slot for lane in LANES for slot in _in_turn(beside(lane, wanted))]


def _tests(wanted: Collection[str]) -> list[Slot]:
    return _in_turn(sorted((each for each in wanted if before_loads(each) and each not in BESIDE), key=order))


def _in_turn(looks: Iterable[str]) -> list[Slot]:
    found: list[Slot] = []
    for look in looks:
        starts_s = found[-1].ends_s if found else 0.0
        ends_s = starts_s + test_s(look)
        found.append(Slot(look, starts_s, ends_s, ends_s))
    return found


def _comparison_and_loads(looks: Looks, wanted: Collection[str]) -> Iterator[Slot]:
    starts_s = longest_start_s = loads_start_s(looks, wanted)
    if COMPARISON in wanted:
        ends_s = starts_s + test_s(COMPARISON)
        yield Slot(COMPARISON, starts_s, ends_s, ends_s)
        starts_s = longest_start_s = ends_s
    for look in LOADS:
        if look not in wanted:
            continue
        more_s = max(0.0, looks[look].get("max_window_s", 0.0) - looks[look]["window_s"])
        ends_s, longest = starts_s + load_s(looks, look), longest_start_s + load_s(looks, look) + more_s
        yield Slot(look, starts_s, ends_s, longest)
        starts_s, longest_start_s = ends_s, longest


def chart(plan: Sequence[Slot], width: int = 60) -> list[str]:
    """Draw the schedule: a line for each look, `█` while it measures and `░` while it may be extended."""
    end_s = max((slot.longest_s for slot in plan), default=0.0)
    if not end_s:
        return []
    name = max(len(slot.look) for slot in plan)

    def column(moment_s: float) -> int:
        return round(width * moment_s / end_s)

    def line(slot: Slot) -> str:
        start, stop, longest = column(slot.starts_s), column(slot.ends_s), column(slot.longest_s)
        stop = max(stop, start + 1)
        return f"{slot.look:<{name}}  {' ' * start}{'█' * (stop - start)}{'░' * (longest - stop)}"

    ticks = "".join(f"{f'{end_s * part / 4:.0f} s':<{width // 4}}" for part in range(4))
    return [f"{'':<{name}}  {ticks}{end_s:.0f} s", *map(line, plan)]

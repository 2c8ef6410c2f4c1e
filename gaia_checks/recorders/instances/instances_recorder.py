"""The instances behind a load balancer: what each runs, whether it stays up, and what they share."""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import replace

import httpx

from gaia_checks.model import Measurement, Target
from gaia_checks.recorders.base.measurement_table import Measures
from gaia_checks.recorders.base.sampling import Coverage, ticks
from gaia_checks.recorders.base.timeline import Timeline
from gaia_checks.recorders.instances import shared_state
from gaia_checks.recorders.instances.instance_samples import HealthSample, Instance, same
from gaia_checks.recorders.instances.shared_state import Shared
from gaia_checks.target import addresses, health_body
from gaia_checks.target.client import async_client
from gaia_checks.target.samples import Score, worst_first

MEASURES = Measures(
    {
        "instances.same": ("count", "instances that run"),
        "instances.restarts": ("count", "restarts, by the uptime that each instance reports"),
        "instances.answers": ("count", f"answers of GET {health_body.PATH} by each instance, healthy ones"),
        "instances.limits": (
            "count",
            "requests of a client to all instances, in turn under a limit, at once under a quota",
        ),
        "instances.rules": ("count", "requests on which a rule made, or removed, on another instance decides"),
        "instances.events": ("count", "instances whose WebSocket client received a refusal on another instance"),
    }
)

_FRESH = {"Connection": "close", "Cache-Control": "no-cache"}  # no idle connection that the server may just close


async def record(
    target: Target, timeline: Timeline, stop: asyncio.Event, *, window_s: float, interval_s: float
) -> list[Measurement]:
    """Try what they share, and request each instance's health every `interval_s` for `window_s`."""
    trial = asyncio.create_task(shared_state.observe(target))
    instances, answers, coverage = [Instance(each) for each in target.instances], Score(), Coverage(interval_s)
    try:
        async with AsyncExitStack() as stack:
            clients = [await stack.enter_async_context(async_client(at, keyed=False)) for at in addresses.each(target)]
            async for t in ticks(interval_s, window_s, stop):
                samples = await asyncio.gather(*map(_health, clients))
                coverage.add(t)
                for instance, sample in zip(instances, samples, strict=True):
                    instance.add(t, sample, answers)
                observed = _observed(instances, answers, coverage)
                shared = _shared(target, trial.result(), coverage.covered_s) if trial.done() else []
                timeline.add(
                    t, f"{answers.good} of {answers.tried} answers healthy", so_far=[*observed, *shared],
                    healthy=sum(sample.wrong is None for sample in samples),
                )  # fmt: skip
        return [*observed, *_shared(target, await trial, coverage.covered_s)]
    finally:
        trial.cancel()


def _observed(instances: Sequence[Instance], answers: Score, coverage: Coverage) -> list[Measurement]:
    score, runs = same(instances)
    restarts = [note for instance in instances for note in instance.restarts]
    identical = _counted("instances.same", score, coverage.covered_s)
    return [
        replace(identical, how=f"{identical.how} {runs}"),
        MEASURES.measurement(
            "instances.restarts", len(restarts), n=coverage.n, window_s=coverage.covered_s, notes=restarts
        ),
        _counted("instances.answers", answers, coverage.covered_s),
    ]


def _shared(target: Target, found: Shared, window_s: float) -> list[Measurement]:
    """Return what the trial has found; it is part of the whole window."""
    scores = {"limits": found.limits, "rules": found.rules, "events": found.events}
    why = target.no_rules or "a temporary rule, or an answer, was missing: see instances.rules"
    return [
        _counted(f"instances.{name}", score, window_s)
        if score.tried
        else MEASURES.measurement(f"instances.{name}", 0, n=0, window_s=0.0, notes=(why,))
        for name, score in scores.items()
    ]


def _counted(name: str, score: Score, window_s: float) -> Measurement:
    return MEASURES.measurement(name, score.good, n=score.tried, window_s=window_s, notes=worst_first(score.wrong))


async def _health(http: httpx.AsyncClient) -> HealthSample:
    clock = asyncio.get_running_loop().time
    sent_s = clock()
    try:
        response = await http.get(health_body.PATH, headers=_FRESH)
    except httpx.HTTPError as error:
        return HealthSample(sent_s, clock(), {}, f"no answer: {type(error).__name__} {error}")
    body = health_body.read(response)
    status = body.get("status")
    wrong = f"status {response.status_code}, {status!r}" if (response.status_code, status) != (200, "healthy") else None
    return HealthSample(sent_s, clock(), body, wrong)

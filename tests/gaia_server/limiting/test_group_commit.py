"""Group commit: which requests form a batch, and what each caller receives when a batch fails."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

import pytest

from gaia_server.limiting import group_commit
from gaia_server.limiting.group_commit import Batcher, Overloaded, Rejected

Answering = Callable[[Sequence[int]], Awaitable[Sequence[str]]]


class Processor:
    """Returns numbers as texts once it is released; records its batches."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.started = asyncio.Event()
        self.released = asyncio.Event()

    async def process(self, requests: Sequence[int]) -> list[str]:
        """Process a batch once released; a batch with 13 is rejected, one with 99 fails."""
        self.batches.append(list(requests))
        self.started.set()
        await self.released.wait()
        if 13 in requests:
            raise Rejected("13")
        if 99 in requests:
            raise ConnectionError("lost")
        return [f"<{request}>" for request in requests]


def run(steps: Callable[[Processor, Batcher[int, str]], Awaitable[None]]) -> None:
    """Run steps with a running batcher and its processor."""

    async def running_batcher() -> None:
        processor = Processor()
        batcher: Batcher[int, str] = Batcher(processor.process, lambda _: None)
        running = asyncio.create_task(batcher.run())
        async with asyncio.timeout(10):
            await steps(processor, batcher)
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running

    asyncio.run(running_batcher())


def submit(batcher: Batcher[int, str], *requests: int) -> list[asyncio.Task[str]]:
    """Submit each request in a separate task."""
    return [asyncio.create_task(batcher.ask(request)) for request in requests]


async def first_batch(processor: Processor, batcher: Batcher[int, str]) -> asyncio.Task[str]:
    """Start a first batch, so that requests from now on wait for the next one."""
    (first,) = submit(batcher, 0)
    await processor.started.wait()
    return first


def test_waiting_requests_form_the_next_batch() -> None:
    """The first request is processed at once; all that arrive meanwhile form one batch, each with its own result."""

    async def steps(processor: Processor, batcher: Batcher[int, str]) -> None:
        first = await first_batch(processor, batcher)
        others = submit(batcher, 1, 2, 3)
        await asyncio.sleep(0)
        processor.released.set()
        assert await asyncio.gather(first, *others) == ["<0>", "<1>", "<2>", "<3>"]
        assert processor.batches == [[0], [1, 2, 3]]

    run(steps)


def test_a_batch_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many requests are processed in several batches, in order."""
    monkeypatch.setattr(group_commit, "MAX_BATCH", 2)

    async def steps(processor: Processor, batcher: Batcher[int, str]) -> None:
        processor.released.set()
        await asyncio.gather(*submit(batcher, 1, 2, 3, 4, 5))
        assert processor.batches == [[1, 2], [3, 4], [5]]

    run(steps)


def test_a_request_cancelled_before_its_batch_is_dropped() -> None:
    """A request that is cancelled while it waits is not processed; the others are unaffected."""

    async def steps(processor: Processor, batcher: Batcher[int, str]) -> None:
        first = await first_batch(processor, batcher)
        gone, stays = submit(batcher, 1, 2)
        await asyncio.sleep(0)
        gone.cancel()
        processor.released.set()
        assert list(await asyncio.gather(first, stays)) == ["<0>", "<2>"]
        assert processor.batches == [[0], [2]]

    run(steps)


def test_a_request_cancelled_during_its_batch_affects_no_other() -> None:
    """When a request is cancelled during its batch, the others still receive their own results."""

    async def steps(processor: Processor, batcher: Batcher[int, str]) -> None:
        gone = await first_batch(processor, batcher)
        gone.cancel()
        (next_one,) = submit(batcher, 1)
        processor.released.set()
        assert await next_one == "<1>"

    run(steps)


def test_one_bad_request_affects_no_other() -> None:
    """When a batch is rejected, each request is processed alone, and only the bad one raises."""

    async def steps(processor: Processor, batcher: Batcher[int, str]) -> None:
        first = await first_batch(processor, batcher)
        good, bad, fine = submit(batcher, 1, 13, 2)
        await asyncio.sleep(0)
        processor.released.set()
        assert list(await asyncio.gather(first, good, fine)) == ["<0>", "<1>", "<2>"]
        with pytest.raises(Rejected):
            await bad
        assert processor.batches == [[0], [1, 13, 2], [1], [13], [2]]

    run(steps)


def test_a_failed_batch_raises_to_all_and_is_never_retried() -> None:
    """It may have been counted, and a retry could count it twice. The next batch is processed normally."""

    async def steps(processor: Processor, batcher: Batcher[int, str]) -> None:
        first = await first_batch(processor, batcher)
        lost = submit(batcher, 1, 99)
        await asyncio.sleep(0)
        processor.released.set()
        await first
        assert [type(error) for error in await asyncio.gather(*lost, return_exceptions=True)] == [ConnectionError] * 2
        assert await batcher.ask(3) == "<3>"
        assert processor.batches == [[0], [1, 99], [3]]

    run(steps)


def test_a_full_queue_refuses_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The queue is bounded."""
    monkeypatch.setattr(group_commit, "MAX_WAITING", 2)

    async def steps(processor: Processor, batcher: Batcher[int, str]) -> None:
        first = await first_batch(processor, batcher)
        waiting = submit(batcher, 1, 2)
        await asyncio.sleep(0)
        with pytest.raises(Overloaded):
            await batcher.ask(3)
        processor.released.set()
        await asyncio.gather(first, *waiting)

    run(steps)


def test_stopping_cancels_waiting_requests() -> None:
    """When the batcher stops, requests in the batch and in the queue are cancelled."""

    async def steps() -> None:
        processor = Processor()
        batcher: Batcher[int, str] = Batcher(processor.process, lambda _: None)
        running = asyncio.create_task(batcher.run())
        first = await first_batch(processor, batcher)
        (second,) = submit(batcher, 1)
        await asyncio.sleep(0)
        running.cancel()
        results = await asyncio.gather(running, first, second, return_exceptions=True)
        assert [type(result) for result in results] == [asyncio.CancelledError] * 3

    asyncio.run(asyncio.wait_for(steps(), 10))

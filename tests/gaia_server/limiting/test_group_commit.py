"""Group commit: who is asked with whom, and what everybody is told when something goes wrong."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

import pytest

from gaia_server.limiting import group_commit
from gaia_server.limiting.group_commit import Batcher, Overloaded, Rejected

Answering = Callable[[Sequence[int]], Awaitable[Sequence[str]]]


class Oracle:
    """Answers numbers with their names, once it is let go; remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[list[int]] = []
        self.asking = asyncio.Event()
        self.free = asyncio.Event()

    async def answer(self, questions: Sequence[int]) -> list[str]:
        """Answer when free; 13 is rejected with whoever comes along, 99 breaks the line."""
        self.asked.append(list(questions))
        self.asking.set()
        await self.free.wait()
        if 13 in questions:
            raise Rejected("13")
        if 99 in questions:
            raise ConnectionError("lost")
        return [f"<{question}>" for question in questions]


def scene(play: Callable[[Oracle, Batcher[int, str]], Awaitable[None]]) -> None:
    """Play with an oracle behind a running batcher."""

    async def playing() -> None:
        oracle = Oracle()
        batcher: Batcher[int, str] = Batcher(oracle.answer, lambda _: None)
        running = asyncio.create_task(batcher.run())
        async with asyncio.timeout(10):
            await play(oracle, batcher)
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running

    asyncio.run(playing())


def ask(batcher: Batcher[int, str], *questions: int) -> list[asyncio.Task[str]]:
    """Ask each in a task of its own."""
    return [asyncio.create_task(batcher.ask(question)) for question in questions]


async def begun(oracle: Oracle, batcher: Batcher[int, str]) -> asyncio.Task[str]:
    """Bring a first batch on its way, so that what is asked now waits for the next."""
    (first,) = ask(batcher, 0)
    await oracle.asking.wait()
    return first


def test_what_waits_is_the_next_batch() -> None:
    """One question goes at once; all that come meanwhile go together, and each gets its own answer."""

    async def play(oracle: Oracle, batcher: Batcher[int, str]) -> None:
        first = await begun(oracle, batcher)
        others = ask(batcher, 1, 2, 3)
        await asyncio.sleep(0)
        oracle.free.set()
        assert await asyncio.gather(first, *others) == ["<0>", "<1>", "<2>", "<3>"]
        assert oracle.asked == [[0], [1, 2, 3]]

    scene(play)


def test_a_batch_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A crowd is answered in several batches, in its order."""
    monkeypatch.setattr(group_commit, "MAX_BATCH", 2)

    async def play(oracle: Oracle, batcher: Batcher[int, str]) -> None:
        oracle.free.set()
        await asyncio.gather(*ask(batcher, 1, 2, 3, 4, 5))
        assert oracle.asked == [[1, 2], [3, 4], [5]]

    scene(play)


def test_who_leaves_before_is_not_asked_for() -> None:
    """A request that was cancelled while it waited consumes nothing; the others are not disturbed."""

    async def play(oracle: Oracle, batcher: Batcher[int, str]) -> None:
        first = await begun(oracle, batcher)
        gone, stays = ask(batcher, 1, 2)
        await asyncio.sleep(0)
        gone.cancel()
        oracle.free.set()
        assert list(await asyncio.gather(first, stays)) == ["<0>", "<2>"]
        assert oracle.asked == [[0], [2]]

    scene(play)


def test_who_leaves_during_changes_nothing_for_others() -> None:
    """A request that is cancelled while it is decided leaves the others their own answers."""

    async def play(oracle: Oracle, batcher: Batcher[int, str]) -> None:
        gone = await begun(oracle, batcher)
        gone.cancel()
        (next_one,) = ask(batcher, 1)
        oracle.free.set()
        assert await next_one == "<1>"

    scene(play)


def test_one_bad_question_spoils_no_others() -> None:
    """When a batch is rejected, each is asked alone, and the one to blame alone is told."""

    async def play(oracle: Oracle, batcher: Batcher[int, str]) -> None:
        first = await begun(oracle, batcher)
        good, bad, fine = ask(batcher, 1, 13, 2)
        await asyncio.sleep(0)
        oracle.free.set()
        assert list(await asyncio.gather(first, good, fine)) == ["<0>", "<1>", "<2>"]
        with pytest.raises(Rejected):
            await bad
        assert oracle.asked == [[0], [1, 13, 2], [1], [13], [2]]

    scene(play)


def test_a_lost_batch_is_told_to_all_and_never_asked_again() -> None:
    """Whether it was counted is not known: asking again could count twice. The next batch is asked as ever."""

    async def play(oracle: Oracle, batcher: Batcher[int, str]) -> None:
        first = await begun(oracle, batcher)
        lost = ask(batcher, 1, 99)
        await asyncio.sleep(0)
        oracle.free.set()
        await first
        assert [type(error) for error in await asyncio.gather(*lost, return_exceptions=True)] == [ConnectionError] * 2
        assert await batcher.ask(3) == "<3>"
        assert oracle.asked == [[0], [1, 99], [3]]

    scene(play)


def test_a_crowd_too_large_is_refused_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The queue does not grow without bound."""
    monkeypatch.setattr(group_commit, "MAX_WAITING", 2)

    async def play(oracle: Oracle, batcher: Batcher[int, str]) -> None:
        first = await begun(oracle, batcher)
        waiting = ask(batcher, 1, 2)
        await asyncio.sleep(0)
        with pytest.raises(Overloaded):
            await batcher.ask(3)
        oracle.free.set()
        await asyncio.gather(first, *waiting)

    scene(play)


def test_nobody_waits_for_a_batcher_that_stopped() -> None:
    """Who still waits when the server stops is cancelled, in the batch and before it."""

    async def play() -> None:
        oracle = Oracle()
        batcher: Batcher[int, str] = Batcher(oracle.answer, lambda _: None)
        running = asyncio.create_task(batcher.run())
        first = await begun(oracle, batcher)
        (second,) = ask(batcher, 1)
        await asyncio.sleep(0)
        running.cancel()
        results = await asyncio.gather(running, first, second, return_exceptions=True)
        assert [type(result) for result in results] == [asyncio.CancelledError] * 3

    asyncio.run(asyncio.wait_for(play(), 10))

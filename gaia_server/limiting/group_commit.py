"""Group commit: what is asked while the last batch is answered is the next batch. No timer, no minimum size.

A question is answered once. One whose asker has gone before its batch began is never asked.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

MAX_BATCH = 500
"""Questions in one batch: bounds how long its locks are held."""

MAX_WAITING = 5000
"""Questions that wait for the next batch; one more is refused at once."""

Question = TypeVar("Question")
Answer = TypeVar("Answer")


class Rejected(Exception):
    """A batch was refused for what it contains, and nothing came of it: each question may be asked alone."""


class Overloaded(Exception):
    """Too many questions wait already."""


class Batcher(Generic[Question, Answer]):
    """Collects the questions of many tasks for one function that answers many at once.

    `answer` gives one answer for each question, in their order, or raises: `Rejected` when nothing came of the batch
    and its contents are to blame; anything else is told to all who asked, and nothing is asked again.
    `sizes` is told the size of each batch.
    """

    def __init__(
        self, answer: Callable[[Sequence[Question]], Awaitable[Sequence[Answer]]], sizes: Callable[[int], object]
    ) -> None:
        self._answer = answer
        self._sizes = sizes
        self._waiting: deque[tuple[Question, asyncio.Future[Answer]]] = deque()
        self._wake = asyncio.Event()

    async def ask(self, question: Question) -> Answer:
        """Return the answer. Raises Overloaded, and what `answer` raised."""
        if len(self._waiting) >= MAX_WAITING:
            raise Overloaded(f"{MAX_WAITING} questions wait already")
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append((question, future))
        self._wake.set()
        return await future

    async def run(self) -> None:
        """Answer batch after batch, until cancelled; who still waits then is cancelled too."""
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                while batch := self._take():
                    await self._settle(batch)
        finally:
            for _, future in self._waiting:
                future.cancel()

    def _take(self) -> list[tuple[Question, asyncio.Future[Answer]]]:
        batch: list[tuple[Question, asyncio.Future[Answer]]] = []
        while self._waiting and len(batch) < MAX_BATCH:
            question, future = self._waiting.popleft()
            if not future.done():  # else its asker was cancelled
                batch.append((question, future))
        return batch

    async def _settle(self, batch: Sequence[tuple[Question, asyncio.Future[Answer]]]) -> None:
        self._sizes(len(batch))
        try:
            answers = await self._answer([question for question, _ in batch])
        except Rejected as error:
            if len(batch) == 1:
                _fail(batch, error)
            else:
                for one in batch:
                    await self._settle([one])
        except Exception as error:  # noqa: BLE001 - whatever it is, those who asked are told
            _fail(batch, error)
        except asyncio.CancelledError:
            for _, future in batch:
                future.cancel()
            raise
        else:
            for (_, future), answer in zip(batch, answers, strict=True):
                if not future.done():
                    future.set_result(answer)


def _fail(batch: Sequence[tuple[Question, asyncio.Future[Answer]]], error: Exception) -> None:
    for _, future in batch:
        if not future.done():
            future.set_exception(error)

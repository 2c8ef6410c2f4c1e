"""Group commit: requests that arrive while a batch is processed form the next batch. No timer, no minimum size.

A request is processed once. A request that is cancelled before its batch starts is dropped.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

MAX_BATCH = 500
"""Requests in one batch: bounds how long its locks are kept."""

MAX_WAITING = 5000
"""Requests that wait for the next batch; one more is refused at once."""

Request = TypeVar("Request")
Result = TypeVar("Result")


class Rejected(Exception):
    """A batch was refused for its contents and had no effect: each request may be processed alone."""


class Overloaded(Exception):
    """Too many requests are waiting."""


class Batcher(Generic[Request, Result]):
    """Collects the requests of many tasks for one function that processes a batch.

    `process` returns one result for each request, in their order, or raises: `Rejected` when the batch had no effect
    because of its contents; any other exception is raised to every caller of the batch, and nothing is retried.
    `on_batch_size` is called with the size of each batch.
    """

    def __init__(
        self,
        process: Callable[[Sequence[Request]], Awaitable[Sequence[Result]]],
        on_batch_size: Callable[[int], object],
    ) -> None:
        self._process = process
        self._on_batch_size = on_batch_size
        self._waiting: deque[tuple[Request, asyncio.Future[Result]]] = deque()
        self._wake = asyncio.Event()

    async def ask(self, request: Request, /) -> Result:
        """Return the result of one request. Raises Overloaded, and what `process` raised."""
        if len(self._waiting) >= MAX_WAITING:
            raise Overloaded(f"{MAX_WAITING} requests are already waiting")
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.append((request, future))
        self._wake.set()
        return await future

    async def run(self) -> None:
        """Process batch after batch until cancelled; requests that still wait are cancelled too."""
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                while batch := self._take():
                    await self._settle(batch)
        finally:
            for _, future in self._waiting:
                future.cancel()

    def _take(self) -> list[tuple[Request, asyncio.Future[Result]]]:
        batch: list[tuple[Request, asyncio.Future[Result]]] = []
        while self._waiting and len(batch) < MAX_BATCH:
            request, future = self._waiting.popleft()
            if not future.done():  # else its caller was cancelled
                batch.append((request, future))
        return batch

    async def _settle(self, batch: Sequence[tuple[Request, asyncio.Future[Result]]]) -> None:
        self._on_batch_size(len(batch))
        try:
            results = await self._process([request for request, _ in batch])
        except Rejected as error:
            if len(batch) == 1:
                _fail(batch, error)
            else:
                for one in batch:
                    await self._settle([one])
        except Exception as error:  # noqa: BLE001 - any exception is raised to the callers
            _fail(batch, error)
        except asyncio.CancelledError:
            for _, future in batch:
                future.cancel()
            raise
        else:
            for (_, future), result in zip(batch, results, strict=True):
                if not future.done():
                    future.set_result(result)


def _fail(batch: Sequence[tuple[Request, asyncio.Future[Result]]], error: Exception) -> None:
    for _, future in batch:
        if not future.done():
            future.set_exception(error)

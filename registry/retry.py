"""Waiting for a store that is unavailable: back off, give up at a limit. The store itself logs that it is away."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

from registry.store import StoreUnavailable

FIRST_PAUSE, MAX_PAUSE = 0.1, 1.0  # seconds between two attempts
_T = TypeVar("_T")


class RetryBackoff:
    """The pauses between attempts: doubling, jittered, bounded."""

    __slots__ = ("_next",)

    def __init__(self) -> None:
        self._next = FIRST_PAUSE

    async def sleep(self) -> None:
        """Wait once, each time longer."""
        pause, self._next = self._next, min(self._next * 2, MAX_PAUSE)
        await asyncio.sleep(pause * random.uniform(0.5, 1.0))


class Retrier:
    """Retries steps while the store is unavailable, for at most `limit` seconds over all steps together."""

    def __init__(self, limit: float, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._deadline = clock() + limit

    async def __call__(self, step: Callable[[], Awaitable[_T]]) -> _T:
        """The step's result. StoreUnavailable after the limit; every other error at once."""
        backoff = RetryBackoff()
        while True:
            try:
                return await step()
            except StoreUnavailable:
                if self._clock() >= self._deadline:
                    raise
            await backoff.sleep()

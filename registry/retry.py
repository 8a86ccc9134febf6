"""Waiting for a store that is away: back off, say so once, give up at a limit."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

from registry.store import StoreAway

log = logging.getLogger(__name__)

FIRST, LONGEST = 0.1, 1.0  # seconds between two tries
_T = TypeVar("_T")


class RetryPauses:
    """The pauses between tries: doubling, jittered, bounded."""

    __slots__ = ("_next",)

    def __init__(self) -> None:
        self._next = FIRST

    async def pause(self) -> None:
        """Wait once, longer each time."""
        delay, self._next = self._next, min(self._next * 2, LONGEST)
        await asyncio.sleep(delay * random.uniform(0.5, 1.0))


class Retrier:
    """Tries steps until the store answers, for at most `limit` seconds over all steps together."""

    def __init__(self, limit: float, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._limit = limit
        self._deadline = clock() + limit
        self._told = False

    async def __call__(self, step: Callable[[], Awaitable[_T]]) -> _T:
        """The step's result. StoreAway once the limit has passed; every other error at once."""
        back_off = RetryPauses()
        while True:
            try:
                return await step()
            except StoreAway as error:
                if self._clock() >= self._deadline:
                    raise
                if not self._told:
                    self._told = True
                    log.warning("%s Trying for %.0f s.", error, self._limit)
            await back_off.pause()

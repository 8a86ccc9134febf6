"""Shell: loops that run for as long as all of them do."""

import asyncio
from collections.abc import Awaitable, Callable


async def run_until_first_error(*loops: Callable[[], Awaitable[None]]) -> None:
    """Run all loops at once. The first error cancels the others, and is raised itself once they have ended.

    Without an error: returns when all have returned.
    """

    async def run(loop: Callable[[], Awaitable[None]]) -> None:
        await loop()

    try:
        async with asyncio.TaskGroup() as group:
            for loop in loops:
                group.create_task(run(loop))
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from None

"""Several parts that run for as long as all of them do."""

import asyncio
from collections.abc import Awaitable, Callable


async def run_all(*parts: Callable[[], Awaitable[None]]) -> None:
    """Run all parts until one raises; the others are cancelled and awaited, then that first error itself is raised."""

    async def run(part: Callable[[], Awaitable[None]]) -> None:
        await part()

    try:
        async with asyncio.TaskGroup() as group:
            for part in parts:
                group.create_task(run(part))
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from None

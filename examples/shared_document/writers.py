"""Those who type: send a recording's edits as events, and keep to the pace that the recording allows."""

import asyncio
import time
from collections.abc import Awaitable, Callable

import aiohttp
from client import Client
from traces import Patch

PATIENCE = 15.0  # seconds without any push before a writer gives up

Checkpoint = Callable[[int], Awaitable[None]]  # called before each edit with its number; may hold the writers up


class Writer:
    """One person who types. It has the file open, so it sees everybody's edits, its own too."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._seen = 0
        self._moved = asyncio.Event()

    @classmethod
    async def open(cls, http: aiohttp.ClientSession, url: str, token: str, file: str) -> "Writer":
        """Joined, with the document still empty."""
        client = await Client.connect(http, url, token)
        await client.join(file)
        return cls(client)

    async def read(self) -> None:
        """Count the pushes that arrive, until the connection ends."""
        async for message in self._client.pushes():
            if message["event"] == "edit":
                self._seen += 1
                self._moved.set()

    async def wait_seen(self, count: int) -> None:
        """Until the pushes of the first `count` edits have reached this writer. TimeoutError: they stopped coming."""
        while self._seen < count:
            self._moved.clear()
            async with asyncio.timeout(PATIENCE):
                await self._moved.wait()

    async def type(self, file: str, edit: list[Patch]) -> float:
        """Send one edit; the answer is when, by the monotonic clock that all processes of a machine share."""
        now = time.monotonic()
        await self._client.send("edit", file, edit)
        return now

    async def close(self) -> None:
        """Go."""
        await self._client.close()


async def write(
    writers: list[Writer],
    file: str,
    edits: list[list[Patch]],
    in_flight: int,
    checkpoint: Checkpoint,
    sent: list[float],
) -> None:
    """Type everything: edit i by writer i mod n, once all but the last `in_flight` before it have reached that writer.

    `sent` gets the moment of each, as they go.
    """
    for number, edit in enumerate(edits):
        await checkpoint(number)
        writer = writers[number % len(writers)]
        await writer.wait_seen(number - in_flight + 1)
        sent.append(await writer.type(file, edit))
    for writer in writers:
        await writer.wait_seen(len(edits))

"""The writers: they send a recording's edits as events, with a limited number of edits in flight."""

import asyncio
import time
from collections.abc import Awaitable, Callable

import aiohttp
from client import Client
from traces import Patch

EDITS_PER_SECOND = 400  # of one writer at most: gateways allow a connection 500 messages a second
PUSH_TIMEOUT = 15.0  # seconds without any push before a writer gives up

Checkpoint = Callable[
    [int], Awaitable[None]
]  # called with the number of each edit before it is sent; may delay the writers


class Writer:
    """One writer. A writer has joined the file, so it receives all edits, its own too."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._received = 0
        self._changed = asyncio.Event()

    @classmethod
    async def open(cls, http: aiohttp.ClientSession, url: str, token: str, file: str) -> "Writer":
        """Connect and join the file, whose document is still empty."""
        client = await Client.connect(http, url, token)
        await client.join(file)
        return cls(client)

    async def read(self) -> None:
        """Count the pushes that arrive, until no push comes any more."""
        async for message in self._client.pushes():
            if message["event"] == "edit":
                self._received += 1
                self._changed.set()
        self._changed.set()

    async def wait_received(self, count: int) -> None:
        """Wait until the pushes of the first `count` edits have arrived.

        TimeoutError: no push for PUSH_TIMEOUT. ConnectionError: none can come, with the gateway's reason.
        """
        while self._received < count:
            if self._client.ended:
                raise ConnectionError(self._client.ended)
            self._changed.clear()
            async with asyncio.timeout(PUSH_TIMEOUT):
                await self._changed.wait()

    async def type(self, file: str, edit: list[Patch]) -> float:
        """Send one edit. Returns the time, on the monotonic clock that all processes of a machine share."""
        now = time.monotonic()
        await self._client.send("edit", file, edit)
        return now

    async def close(self) -> None:
        """Close the connection."""
        await self._client.close()


async def write(
    writers: list[Writer],
    file: str,
    edits: list[list[Patch]],
    in_flight: int,
    checkpoint: Checkpoint,
    sent: list[float],
) -> None:
    """Send all edits: edit i by writer i mod n, once the writer has received all but `in_flight` of the edits before i.

    `sent` receives the time of each edit.
    """
    began, interval = time.monotonic(), 1 / (EDITS_PER_SECOND * len(writers))
    for number, edit in enumerate(edits):
        await asyncio.sleep(max(0.0, began + number * interval - time.monotonic()))
        await checkpoint(number)
        writer = writers[number % len(writers)]
        await writer.wait_received(number - in_flight + 1)
        sent.append(await writer.type(file, edit))
    for writer in writers:
        await writer.wait_received(len(edits))

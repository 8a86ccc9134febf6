"""Many viewers of one document in one process: each rebuilds the text from its pushes, strictly in arrival order.

No index, no sorting, no buffering. A viewer requests the current text after it has joined; earlier edits are part of
that text, and are ignored. Commands are JSON lines on stdin, with one JSON line on stdout as the result of each:

    {"command": "authenticate", "token": "..."}    first; not on the command line, which other users can read
    {"command": "add", "urls": [...]}              connect a viewer per URL; the result follows when all have the text
    {"command": "disconnect"}                      disconnect one viewer
    {"command": "reconnect", "url": ...}           connect that viewer again, to this URL
    {"command": "finish", "timeout": s}            wait until all viewers have all edits; the result has their texts
"""

import argparse
import asyncio
import json
import sys
import time
from array import array
from collections import Counter
from typing import Any

import aiohttp
from client import Client
from traces import apply

SETTLE_TIME = 0.2  # seconds to wait at the end for a surplus edit, which would be a fault


class Viewer:
    """One viewer: a client that follows the document."""

    def __init__(self, arrived_at: "array[float]") -> None:
        self.complete = asyncio.Event()
        self.text = ""
        self.edits = -1  # number of edits in the text; -1: no text yet
        self.fault = ""
        self._arrived_at = arrived_at
        self._ready = asyncio.Event()
        self._client: Client | None = None
        self._reading: asyncio.Task[None] | None = None

    async def open(self, http: aiohttp.ClientSession, url: str, token: str, file: str) -> None:
        """Connect, join, request the current text, and follow the edits."""
        self.edits = -1
        self._ready.clear()
        self._client = await Client.connect(http, url, token)
        await self._client.join(file)
        await self._client.send("open", file, None)
        self._reading = asyncio.create_task(self._read(self._client))
        await asyncio.wait_for(self._ready.wait(), 20)

    async def _read(self, client: Client) -> None:
        async for message in client.pushes():
            if message["event"] == "snapshot":
                self.text, self.edits = message["data"]["text"], message["data"]["edits"]
                self._check_complete()
                self._ready.set()
            elif self.edits >= 0:
                self._apply(message["data"])

    def _apply(self, edit: list[Any]) -> None:
        try:
            self.text = apply(self.text, edit)
        except ValueError as error:
            self.fault = self.fault or f"after {self.edits} edits: {error}"
        if self.edits < len(self._arrived_at):
            self._arrived_at[self.edits] = time.monotonic()  # shared by all viewers: the last arrival stays
        self.edits += 1
        self._check_complete()

    def _check_complete(self) -> None:
        if self.edits >= len(self._arrived_at):
            self.complete.set()

    async def close(self) -> None:
        """Disconnect."""
        if self._client and self._reading:
            await self._client.close()
            await self._reading


class ViewerGroup:
    """All viewers of this process."""

    def __init__(self, file: str, edits: int) -> None:
        self._file = file
        self._token = ""
        self._arrived_at = array("d", bytes(8 * edits))
        self._viewers: list[Viewer] = []
        self._disconnected: list[Viewer] = []

    async def execute(self, http: aiohttp.ClientSession, command: dict[str, Any]) -> dict[str, Any]:
        """Execute one command. Returns its result."""
        match command:
            case {"command": "authenticate", "token": token}:
                self._token = token
            case {"command": "add", "urls": urls}:
                new = [Viewer(self._arrived_at) for _ in urls]
                self._viewers += new
                await asyncio.gather(*(self._open(http, viewer, url) for viewer, url in zip(new, urls, strict=True)))
            case {"command": "disconnect"}:
                self._disconnected.append(self._viewers.pop())
                await self._disconnected[-1].close()
            case {"command": "reconnect", "url": url}:
                self._viewers.append(self._disconnected.pop())
                await self._open(http, self._viewers[-1], url)
            case {"command": "finish", "timeout": timeout}:
                return await self._finish(timeout)
        return {"viewers": len(self._viewers)}

    async def _open(self, http: aiohttp.ClientSession, viewer: Viewer, url: str) -> None:
        await viewer.open(http, url, self._token, self._file)

    async def _finish(self, timeout: float) -> dict[str, Any]:
        waits = [asyncio.create_task(viewer.complete.wait()) for viewer in self._viewers]
        _, pending = await asyncio.wait(waits, timeout=timeout)
        for task in pending:
            task.cancel()
        await asyncio.sleep(SETTLE_TIME)
        await asyncio.gather(*(viewer.close() for viewer in self._viewers))
        return {
            "texts": list(Counter(viewer.text for viewer in self._viewers).items()),
            "edits": [viewer.edits for viewer in self._viewers],
            "faults": sorted({viewer.fault for viewer in self._viewers if viewer.fault}),
            "arrived_at": self._arrived_at.tolist(),
            "cpu": time.process_time(),
        }


async def serve(group: ViewerGroup) -> None:
    """Execute the commands on stdin until its end."""
    loop = asyncio.get_running_loop()
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            print(json.dumps(await group.execute(http, json.loads(line))), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--file", required=True)
    parser.add_argument("--edits", type=int, required=True, help="number of edits of the recording")
    arguments = parser.parse_args()
    try:
        import uvloop
    except ModuleNotFoundError:
        asyncio.run(serve(ViewerGroup(arguments.file, arguments.edits)))
    else:
        uvloop.run(serve(ViewerGroup(arguments.file, arguments.edits)))


if __name__ == "__main__":
    main()

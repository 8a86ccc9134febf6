"""Many viewers of one document in one process: each rebuilds the text from what it gets, strictly in arrival order.

No index, no sorting, no holding back. A viewer asks for the text so far after it has joined; what comes before that
is in it already, and is passed over. Commands come as JSON lines on stdin, answers go as JSON lines to stdout:

    {"do": "come", "token": "..."}    first of all; a token does not belong on a command line, which everybody can see
    {"do": "add", "urls": [...]}    one viewer for each URL; answered when all have the text so far
    {"do": "leave"} {"do": "return", "url": ...}    one viewer goes, and comes back on another gateway
    {"do": "finish", "limit": s}                    wait until all have all edits, then say what each has
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

SETTLE = 0.2  # seconds that all wait at the end for an edit that must not come


class Viewer:
    """One person who looks on."""

    def __init__(self, last_seen: "array[float]") -> None:
        self.complete = asyncio.Event()
        self.text = ""
        self.edits = -1  # how many the text has in it; -1: no text yet
        self.fault = ""
        self._last_seen = last_seen
        self._ready = asyncio.Event()
        self._client: Client | None = None
        self._reading: asyncio.Task[None] | None = None

    async def open(self, http: aiohttp.ClientSession, url: str, token: str, file: str) -> None:
        """Join, ask for the text so far, and follow from there."""
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
                self._follow(message["data"])

    def _follow(self, edit: list[Any]) -> None:
        try:
            self.text = apply(self.text, edit)
        except ValueError as error:
            self.fault = self.fault or f"after {self.edits} edits: {error}"
        if self.edits < len(self._last_seen):
            self._last_seen[self.edits] = time.monotonic()  # the viewers of a process overwrite: the last one stays
        self.edits += 1
        self._check_complete()

    def _check_complete(self) -> None:
        if self.edits >= len(self._last_seen):
            self.complete.set()

    async def close(self) -> None:
        """Leave."""
        if self._client and self._reading:
            await self._client.close()
            await self._reading


class AdmissionPort:
    """All viewers of this process."""

    def __init__(self, file: str, edits: int) -> None:
        self._file = file
        self._token = ""
        self._last_seen = array("d", bytes(8 * edits))
        self._viewers: list[Viewer] = []
        self._away: list[Viewer] = []

    async def obey(self, http: aiohttp.ClientSession, command: dict[str, Any]) -> dict[str, Any]:
        """Do one command; the answer is for stdout."""
        match command:
            case {"do": "come", "token": token}:
                self._token = token
            case {"do": "add", "urls": urls}:
                new = [Viewer(self._last_seen) for _ in urls]
                self._viewers += new
                await asyncio.gather(*(self._open(http, viewer, url) for viewer, url in zip(new, urls, strict=True)))
            case {"do": "leave"}:
                self._away.append(self._viewers.pop())
                await self._away[-1].close()
            case {"do": "return", "url": url}:
                self._viewers.append(self._away.pop())
                await self._open(http, self._viewers[-1], url)
            case {"do": "finish", "limit": limit}:
                return await self._finish(limit)
        return {"viewers": len(self._viewers)}

    async def _open(self, http: aiohttp.ClientSession, viewer: Viewer, url: str) -> None:
        await viewer.open(http, url, self._token, self._file)

    async def _finish(self, limit: float) -> dict[str, Any]:
        waits = [asyncio.create_task(viewer.complete.wait()) for viewer in self._viewers]
        _, pending = await asyncio.wait(waits, timeout=limit)
        for task in pending:
            task.cancel()
        await asyncio.sleep(SETTLE)
        await asyncio.gather(*(viewer.close() for viewer in self._viewers))
        return {
            "texts": list(Counter(viewer.text for viewer in self._viewers).items()),
            "edits": [viewer.edits for viewer in self._viewers],
            "faults": sorted({viewer.fault for viewer in self._viewers if viewer.fault}),
            "last_seen": self._last_seen.tolist(),
            "cpu": time.process_time(),
        }


async def serve(house: AdmissionPort) -> None:
    """Obey stdin until it ends."""
    loop = asyncio.get_running_loop()
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            print(json.dumps(await house.obey(http, json.loads(line))), flush=True)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--file", required=True)
    arguments.add_argument("--edits", type=int, required=True, help="how many there will be")
    given = arguments.parse_args()
    try:
        import uvloop
    except ModuleNotFoundError:
        asyncio.run(serve(AdmissionPort(given.file, given.edits)))
    else:
        uvloop.run(serve(AdmissionPort(given.file, given.edits)))


if __name__ == "__main__":
    main()

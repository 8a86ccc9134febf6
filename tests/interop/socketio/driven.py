"""A foreign program that obeys: commands are lines of JSON on its stdin, events are lines of JSON on its stdout.

Bytes within a value are written as {"$binary": base64}.
"""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
LARGEST_LINE = 1 << 24  # bytes


def pack(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=lambda raw: {"$binary": base64.b64encode(raw).decode()})


def unpack(line: str | bytes) -> Any:
    return json.loads(line, object_hook=lambda one: base64.b64decode(one["$binary"]) if "$binary" in one else one)


class Driven:
    """A running program."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._ids = 0
        self._kept: list[dict[str, Any]] = []  # events that nothing has waited for yet

    async def next(self, event: str, within: float = 15.0, **wanted: Any) -> dict[str, Any]:
        """The next event of this kind with these values. Others that come before it are kept."""
        for number, one in enumerate(self._kept):
            if _is(one, event, wanted):
                return self._kept.pop(number)
        try:
            async with asyncio.timeout(within):
                while not _is(one := await self._read(), event, wanted):
                    self._kept.append(one)
        except TimeoutError:
            raise AssertionError(f"no {event} {wanted} within {within} s, but {self._kept}") from None
        return one

    async def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = await self._process.stdout.readline()
        assert line, f"the program has ended after {self._kept}"
        return dict(unpack(line))

    async def send(self, command: str, **values: Any) -> int:
        """Give a command; the answer is its number, which comes back in the events that it leads to."""
        assert self._process.stdin is not None
        self._ids += 1
        self._process.stdin.write(pack({"command": command, "id": self._ids, **values}).encode() + b"\n")
        await self._process.stdin.drain()
        return self._ids

    async def ask(self, command: str, answer: str, **values: Any) -> dict[str, Any]:
        """Give a command; the event of the kind `answer` with its number."""
        return await self.next(answer, id=await self.send(command, **values))


def _is(event: dict[str, Any], kind: str, wanted: dict[str, Any]) -> bool:
    return event["event"] == kind and all(event.get(key) == value for key, value in wanted.items())


@asynccontextmanager
async def driven(*command: str) -> AsyncIterator[Driven]:
    """Start a program; it is killed at the end."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, limit=LARGEST_LINE, cwd=FOLDER)
    try:
        yield Driven(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()

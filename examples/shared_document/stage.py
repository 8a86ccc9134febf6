"""What a performance needs around it: processes with viewers, one more gateway, the backend; all gone at the end."""

import asyncio
import contextlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

HERE = Path(__file__).resolve().parent
HOUSES = 2  # processes that the viewers are shared out to
LINE_LIMIT = 1 << 26  # bytes; a house's last answer holds texts and times
STOP_LIMIT = 15.0  # seconds


class Failed(Exception):
    """A process did not do its part."""


class Process:
    """A child that speaks JSON lines."""

    def __init__(self, name: str, process: asyncio.subprocess.Process) -> None:
        self._name = name
        self._process = process
        self._turn = asyncio.Lock()

    @classmethod
    async def start(cls, script: str, *arguments: object, log: Path | None = None) -> "Process":
        """A script of this folder, or `homing` with a verb (script "homing"). `log` gets what it says on stderr."""
        program = ["-P", "-m", "homing"] if script == "homing" else [str(HERE / script)]
        with contextlib.nullcontext(None) if log is None else log.open("wb") as stderr:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                *program,
                *map(str, arguments),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=stderr,
                limit=LINE_LIMIT,
            )
        return cls(script, process)

    async def line(self) -> dict[str, Any]:
        """Its next line. Failed: it has ended."""
        assert self._process.stdout is not None
        line = await self._process.stdout.readline()
        if not line:
            raise Failed(f"{self._name} ended with status {await self._process.wait()}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    async def ask(self, command: dict[str, Any]) -> dict[str, Any]:
        """Its answer to a command; one at a time."""
        assert self._process.stdin is not None
        async with self._turn:
            self._process.stdin.write(json.dumps(command).encode() + b"\n")
            return await self.line()

    async def stop(self) -> None:
        """SIGTERM, and SIGKILL when that is not enough."""
        if self._process.returncode is None:
            self._process.terminate()
            try:
                await asyncio.wait_for(self._process.wait(), STOP_LIMIT)
            except TimeoutError:
                self._process.kill()
                await self._process.wait()


class Stage:
    """The cluster's gateways, the viewers' processes, and a gateway of our own."""

    def __init__(self, run_dir: Path, cluster: dict[str, Any], file: str, edits: int) -> None:
        self.urls: list[str] = [gateway["url"] for gateway in cluster["gateways"]]
        self.file = file
        self.token = ""
        self.houses: list[Process] = []
        self._run_dir = run_dir
        self._edits = edits
        self._gateway: Process | None = None
        self._placed = 0

    async def __aenter__(self) -> "Stage":
        self.token = await self._sign()
        try:
            for _ in range(HOUSES):
                house = await Process.start("viewers.py", "--file", self.file, "--edits", self._edits)
                self.houses.append(house)
                await house.ask({"do": "come", "token": self.token})
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """End every process of this stage."""
        parts = [*self.houses, *([self._gateway] if self._gateway else [])]
        await asyncio.gather(*(part.stop() for part in parts))

    async def _sign(self) -> str:
        """A token for everybody here, from the command that everybody would use."""
        command = ["-P", "-m", "homing", "token", "--user", "reader", "--file", self.file, "--run-dir", self._run_dir]
        process = await asyncio.create_subprocess_exec(
            sys.executable, *map(str, command), stdout=asyncio.subprocess.PIPE
        )
        text, _ = await process.communicate()
        if process.returncode:
            raise Failed("homing token failed")
        return text.decode().strip()

    async def add_viewers(self, count: int, urls: Sequence[str]) -> None:
        """Add viewers, dealt out over the gateways and over the houses; they have the text so far when this returns."""
        dealt: list[list[str]] = [[] for _ in self.houses]
        for number in range(self._placed, self._placed + count):
            dealt[number % len(dealt)].append(urls[number // len(dealt) % len(urls)])
        self._placed += count
        await asyncio.gather(
            *(house.ask({"do": "add", "urls": mine}) for house, mine in zip(self.houses, dealt, strict=True) if mine)
        )

    async def add_gateway(self) -> str:
        """Start one more gateway of the cluster; its URL."""
        log = self._run_dir / "logs" / "gateway-added.log"
        self._gateway = await Process.start("homing", "gateway", "--config", self._run_dir / "homing.toml", log=log)
        return str((await self._gateway.line())["url"])

    async def finish(self, limit: float) -> list[dict[str, Any]]:
        """Wait for the last edit everywhere; what each house has in the end."""
        command = {"do": "finish", "limit": limit}
        return list(await asyncio.gather(*(house.ask(command) for house in self.houses)))

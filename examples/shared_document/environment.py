"""The processes of a replay: viewer processes and one added gateway, all stopped at the end."""

import asyncio
import contextlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

FOLDER = Path(__file__).resolve().parent
VIEWER_PROCESSES = 2
MAX_LINE_BYTES = 1 << 26  # the result of `finish` has texts and times
STOP_TIMEOUT = 15.0  # seconds


class ProcessFailed(Exception):
    """A process has exited or returned an error."""


class JsonLinesProcess:
    """A child process with JSON lines on stdin and stdout."""

    def __init__(self, name: str, process: asyncio.subprocess.Process) -> None:
        self._name = name
        self._process = process
        self._command_lock = asyncio.Lock()

    @classmethod
    async def start(cls, script: str, *arguments: object, log: Path | None = None) -> "JsonLinesProcess":
        """Start a script of this folder, or `homing` with a verb (script "homing"). `log`: a file for its stderr."""
        program = ["-P", "-m", "homing"] if script == "homing" else [str(FOLDER / script)]
        with contextlib.nullcontext(None) if log is None else log.open("wb") as stderr:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                *program,
                *map(str, arguments),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=stderr,
                limit=MAX_LINE_BYTES,
            )
        return cls(script, process)

    async def receive(self) -> dict[str, Any]:
        """The process's next line. ProcessFailed: the process has exited, or the line is over MAX_LINE_BYTES."""
        assert self._process.stdout is not None
        try:
            line = await self._process.stdout.readline()
        except ValueError:
            raise ProcessFailed(f"{self._name} printed a line over {MAX_LINE_BYTES} bytes") from None
        if not line:
            raise ProcessFailed(f"{self._name} ended with status {await self._process.wait()}")
        message: dict[str, Any] = json.loads(line)
        return message

    async def request(self, command: str, **arguments: object) -> dict[str, Any]:
        """Send a command and return its result. One command at a time."""
        assert self._process.stdin is not None
        async with self._command_lock:
            self._process.stdin.write(json.dumps({"command": command, **arguments}).encode() + b"\n")
            return await self.receive()

    async def stop(self) -> None:
        """Send SIGTERM, and SIGKILL after STOP_TIMEOUT."""
        if self._process.returncode is None:
            self._process.terminate()
            try:
                await asyncio.wait_for(self._process.wait(), STOP_TIMEOUT)
            except TimeoutError:
                self._process.kill()
                await self._process.wait()


class ReplayEnvironment:
    """The cluster's gateways, the viewer processes, and the added gateway."""

    def __init__(self, run_dir: Path, cluster: dict[str, Any], file: str, edits: int) -> None:
        self.urls: list[str] = [gateway["url"] for gateway in cluster["gateways"]]
        self.file = file
        self.token = ""
        self.viewer_processes: list[JsonLinesProcess] = []
        self._run_dir = run_dir
        self._edits = edits
        self._gateway: JsonLinesProcess | None = None
        self._placed = 0

    async def __aenter__(self) -> "ReplayEnvironment":
        self.token = await self._sign()
        try:
            for _ in range(VIEWER_PROCESSES):
                process = await JsonLinesProcess.start("viewers.py", "--file", self.file, "--edits", self._edits)
                self.viewer_processes.append(process)
                await process.request("authenticate", token=self.token)
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Stop all processes."""
        processes = [*self.viewer_processes, *([self._gateway] if self._gateway else [])]
        await asyncio.gather(*(process.stop() for process in processes))

    async def _sign(self) -> str:
        """A token for all clients of the replay, from `homing token`."""
        command = ["-P", "-m", "homing", "token", "--user", "reader", "--file", self.file, "--run-dir", self._run_dir]
        process = await asyncio.create_subprocess_exec(
            sys.executable, *map(str, command), stdout=asyncio.subprocess.PIPE
        )
        text, _ = await process.communicate()
        if process.returncode:
            raise ProcessFailed("homing token failed")
        return text.decode().strip()

    async def add_viewers(self, count: int, urls: Sequence[str]) -> None:
        """Add viewers, spread over the gateways and the viewer processes; returns when all have the current text."""
        shares: list[list[str]] = [[] for _ in self.viewer_processes]
        for number in range(self._placed, self._placed + count):
            shares[number % len(shares)].append(urls[number // len(shares) % len(urls)])
        self._placed += count
        await asyncio.gather(
            *(
                process.request("add", urls=share)
                for process, share in zip(self.viewer_processes, shares, strict=True)
                if share
            )
        )

    async def add_gateway(self) -> str:
        """Start one more gateway of the cluster. Returns its URL."""
        log = self._run_dir / "logs" / "gateway-added.log"
        self._gateway = await JsonLinesProcess.start(
            "homing", "gateway", "--config", self._run_dir / "homing.toml", log=log
        )
        return str((await self._gateway.receive())["url"])

    async def finish(self, timeout: float) -> list[dict[str, Any]]:
        """Wait until all viewers have the last edit. Returns the result of each viewer process."""
        requests = (process.request("finish", timeout=timeout) for process in self.viewer_processes)
        return list(await asyncio.gather(*requests))

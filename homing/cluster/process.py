"""One child process of `up`: cannot outlive its parent, is watched, and is stopped within a time limit.

Two rules prevent leftover processes. Every child has its own session, so Ctrl-C at the terminal reaches `up` alone,
which then stops the children in order. And on Linux the kernel kills a child when `up` dies without stopping it
(PR_SET_PDEATHSIG with SIGKILL, which a child that hangs cannot ignore).
"""

import asyncio
import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

PR_SET_PDEATHSIG = 1
MAX_LINE_BYTES = 1 << 20  # bytes of one line on a child's stdout; a ready line has a few hundred
CHUNK_BYTES = 1 << 16  # of a child's output, copied to its log at a time

_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def kill_with_parent(parent: int) -> Callable[[], None] | None:
    """A preexec_fn that has the kernel kill the child when `parent` dies; None on systems other than Linux."""
    if _libc is None:
        return None
    libc = _libc

    def request_death_signal() -> None:
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # the parent had died before the request
            os._exit(1)

    return request_death_signal


class ChildProcess:
    """A child process. Its stderr, and its stdout after the ready line, go to one log file."""

    def __init__(self, name: str, process: asyncio.subprocess.Process, log: Path) -> None:
        self.name = name
        self.pid = process.pid
        self.log = log
        self._process = process

    @classmethod
    async def start(
        cls, name: str, command: Sequence[str], log: Path, environment: Mapping[str, str] | None = None
    ) -> "ChildProcess":
        """Start `command`. OSError: the program cannot be executed."""
        with _open_empty(log) as sink:
            process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=sink,
                env=environment,
                limit=MAX_LINE_BYTES,
                start_new_session=True,
                preexec_fn=kill_with_parent(os.getpid()),
            )
        return cls(name, process, log)

    @property
    def returncode(self) -> int | None:
        """The exit status; minus the signal's number after a signal; None while the process runs."""
        return self._process.returncode

    async def read_line(self) -> bytes:
        """The next line of the child's stdout; b"" at its end."""
        assert self._process.stdout is not None
        try:
            return await self._process.stdout.readline()
        except ValueError:  # longer than MAX_LINE_BYTES: no ready line
            return b"\n"

    async def wait_exited(self) -> int:
        """Wait for the exit; returns the status. Meanwhile stdout goes to the log: a full pipe blocks the child.

        Output that the log cannot take (a full disk) is lost: a child's output never ends the cluster.
        """
        assert self._process.stdout is not None
        while chunk := await self._process.stdout.read(CHUNK_BYTES):
            with contextlib.suppress(OSError), self.log.open("ab", buffering=0) as sink:
                sink.write(chunk)
        return await self._process.wait()

    async def stop(self, grace: float) -> bool:
        """Send SIGTERM, and SIGKILL after `grace` seconds. Whether the child exited before the SIGKILL."""
        self._send_signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(self._process.wait(), grace)
        except TimeoutError:
            await self.kill()
            return False
        return True

    async def kill(self) -> None:
        """Send SIGKILL and wait for the exit."""
        self._send_signal(signal.SIGKILL)
        await self._process.wait()

    def _send_signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(number)

    def log_tail(self, count: int = 5) -> list[str]:
        """The last `count` lines of the log that are not blank; of a long line its end; [] without a log."""
        try:
            with self.log.open("rb") as file:
                file.seek(max(0, file.seek(0, os.SEEK_END) - 8192))
                text = file.read().decode(errors="replace")
        except OSError:
            return []
        return [line for line in text.splitlines() if line.strip()][-count:]


def _open_empty(log: Path) -> BinaryIO:
    """The log, empty and in append mode: the child and `wait_exited` write to the file, neither over the other."""
    log.write_bytes(b"")
    return log.open("ab")


def exit_reason(status: int) -> str:
    """An exit status in words, for example "signal SIGKILL"."""
    if status >= 0:
        return f"exit status {status}"
    try:
        return f"signal {signal.Signals(-status).name}"
    except ValueError:
        return f"signal {-status}"

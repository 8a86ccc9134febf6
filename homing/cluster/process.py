"""One child process of `up`: started so that it cannot outlive us, watched, stopped within a bound.

Two rules make sure that nothing is left running. Every child is in a session of its own, so Ctrl-C at the terminal
reaches `up` alone, which then stops the parts in order. And on Linux the kernel itself ends a child when `up` dies
without a word (PR_SET_PDEATHSIG with SIGKILL: a child that hangs cannot ignore it; the data is for development).
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
LINE_LIMIT = 1 << 20  # bytes of one line on a child's stdout; a ready line has a few hundred

_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def die_with(parent: int) -> Callable[[], None] | None:
    """What a child runs between fork and exec so that it dies with `parent`; None where the kernel cannot do it."""
    if _libc is None:
        return None
    libc = _libc

    def arrange() -> None:
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # the parent was gone before the kernel knew
            os._exit(1)

    return arrange


class Child:
    """A started process whose stderr, and stdout after the ready line, go to one log file."""

    def __init__(self, name: str, process: asyncio.subprocess.Process, log: Path) -> None:
        self.name = name
        self.pid = process.pid
        self.log = log
        self._process = process

    @classmethod
    async def start(
        cls, name: str, command: Sequence[str], log: Path, environment: Mapping[str, str] | None = None
    ) -> "Child":
        """Start `command`. OSError when it cannot be run at all."""
        with _emptied(log) as sink:
            process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=sink,
                env=environment,
                limit=LINE_LIMIT,
                start_new_session=True,
                preexec_fn=die_with(os.getpid()),
            )
        return cls(name, process, log)

    @property
    def returncode(self) -> int | None:
        """None while it runs; minus the signal's number when a signal ended it."""
        return self._process.returncode

    async def read_line(self) -> bytes:
        """The next line of its stdout; b"" when there will be none."""
        assert self._process.stdout is not None
        try:
            return await self._process.stdout.readline()
        except ValueError:  # longer than LINE_LIMIT: not ours to read
            return b"\n"

    async def wait_gone(self) -> int:
        """Until it has ended, its stdout copied to the log meanwhile (a full pipe would stop it). Its exit status."""
        with self.log.open("ab") as sink:
            while line := await self.read_line():
                sink.write(line)
                sink.flush()
        return await self._process.wait()

    async def stop(self, grace: float) -> bool:
        """SIGTERM, and SIGKILL after `grace` seconds. Whether it went by itself."""
        self._send(signal.SIGTERM)
        try:
            await asyncio.wait_for(self._process.wait(), grace)
        except TimeoutError:
            await self.kill()
            return False
        return True

    async def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        self._send(signal.SIGKILL)
        await self._process.wait()

    def _send(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(number)

    def last_lines(self, count: int = 5) -> list[str]:
        """The end of its log, for the one who has to understand why it died."""
        with self.log.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - 8192))
            text = file.read().decode(errors="replace")
        return [line for line in text.splitlines() if line.strip()][-count:]


def _emptied(log: Path) -> BinaryIO:
    """The log, empty, to append to: the child and `wait_gone` both write there, and neither over the other."""
    log.write_bytes(b"")
    return log.open("ab")


def how_it_ended(status: int) -> str:
    """An exit status in words."""
    if status >= 0:
        return f"exit status {status}"
    try:
        return f"signal {signal.Signals(-status).name}"
    except ValueError:
        return f"signal {-status}"

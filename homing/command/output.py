"""What a verb prints: its failures are one error each, whatever the verb was doing.

A closed pipe ends a verb with the status of a process that SIGPIPE ended, without a word, as with any other program
(`homing listen | head -1`). A full disk is one line. The signal itself keeps Python's handler: a verb's own connections
must not end the process.
"""

import contextlib
import errno
import os
import signal
import stat
import sys
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import click

from homing.cluster.errors import CommandError
from homing.command.printable import printable

NOT_WRITTEN = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


class OutputError(CommandError):
    """The output cannot be written, for example because the disk is full."""


class OutputClosed(OutputError):
    """Nobody reads the output any more. Exit status 141, and no message."""

    exit_code = 128 + signal.SIGPIPE


@contextlib.contextmanager
def output_errors() -> Iterator[None]:
    """OutputError instead of the OSError of a print. An error that names a file is not one of these."""
    try:
        yield
    except BrokenPipeError:
        raise OutputClosed("nobody reads the output") from None
    except OSError as error:
        if error.errno not in NOT_WRITTEN or error.filename is not None:
            raise
        raise OutputError(f"cannot write the output: {error.strerror}") from None


def print_line(line: str, err: bool = False) -> None:
    """Print a line on stdout, or on stderr; control characters and half surrogate pairs, which a client's message may
    hold, are printed escaped. OutputError: it cannot be written."""
    with output_errors():
        click.echo(printable(line), err=err)


def discard() -> None:
    """Send what is still buffered, and what follows, to nowhere: the interpreter's own flush would fail once more."""
    null = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            stream.flush()
            continue
        with contextlib.suppress(OSError, ValueError, AttributeError):
            os.dup2(null, stream.fileno())


async def run_while_read(work: Coroutine[Any, Any, None]) -> None:
    """Run `work` to its end. OutputClosed: the reader of stdout's pipe is gone, also while nothing is printed."""
    import asyncio

    closed = asyncio.Event()
    task = asyncio.ensure_future(work)
    waiting = asyncio.ensure_future(closed.wait())
    try:
        with watch_reader(closed.set):
            await asyncio.wait([task, waiting], return_when=asyncio.FIRST_COMPLETED)
    finally:
        task.cancel()
        waiting.cancel()
        await asyncio.wait([task, waiting])
    if closed.is_set():
        raise OutputClosed("nobody reads the output")
    await task


@contextlib.contextmanager
def watch_reader(on_gone: Callable[[], None]) -> Iterator[None]:
    """Call `on_gone`, in the running event loop, when the reader of stdout's pipe is gone; stdout may be no pipe."""
    import asyncio

    loop, pipe = asyncio.get_running_loop(), _stdout_pipe()
    if pipe is None:
        yield
        return

    def gone() -> None:
        loop.remove_reader(pipe)
        on_gone()

    loop.add_reader(pipe, gone)  # epoll reports a pipe's error to whoever watches the pipe for reading
    try:
        yield
    finally:
        loop.remove_reader(pipe)


def _stdout_pipe() -> int | None:
    """The file descriptor of stdout, if it is the writing end of a pipe."""
    import fcntl

    try:
        number = sys.stdout.fileno()
        is_pipe = stat.S_ISFIFO(os.fstat(number).st_mode)
    except (OSError, ValueError, AttributeError):
        return None
    writes_only = fcntl.fcntl(number, fcntl.F_GETFL) & os.O_ACCMODE == os.O_WRONLY
    return number if is_pipe and writes_only else None

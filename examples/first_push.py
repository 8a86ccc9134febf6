"""The first push: start a cluster, connect a client, push to it, read the report. `make demo` runs this.

Every step is a `homing` command, as a person would type it; this script shows all of them in one terminal.
"""

import argparse
import asyncio
import contextlib
import shlex
import signal
import sys
from asyncio import IncompleteReadError, LimitOverrunError, StreamReader
from asyncio.subprocess import DEVNULL, PIPE, STDOUT, Process
from collections.abc import AsyncIterator

HOMING = [sys.executable, "-P", "-m", "homing"]
LISTEN = ["listen", "--user", "ada", "--file", "notes"]
PUSH = ["push", "--file", "notes", "--event", "hello", "--data", '{"text": "hi"}']
LINE_TIMEOUT = 60.0  # seconds
SHOWN = 2000  # characters of a line that are printed: a pushed picture is one line of a megabyte


class ProcessEnded(Exception):
    """A process ended before it printed the expected line."""


@contextlib.asynccontextmanager
async def running(*verb: str) -> AsyncIterator[Process]:
    """A `homing` command in the background; stopped with SIGINT, as by Ctrl-C."""
    # In its own session: Ctrl-C reaches this script, which then stops the commands in order.
    process = await asyncio.create_subprocess_exec(
        *HOMING, *verb, stdin=DEVNULL, stdout=PIPE, stderr=STDOUT, start_new_session=True
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGINT)
            await process.communicate()


async def read_line(stream: StreamReader) -> str:
    """The next line, of any length, cut to SHOWN characters; "" at the end of the stream."""
    kept = b""
    while True:
        try:
            line = await stream.readuntil(b"\n")
        except IncompleteReadError as error:
            line = error.partial
        except LimitOverrunError as error:
            part = await stream.readexactly(error.consumed)
            kept = kept or part
            continue
        text = (kept or line).decode(errors="replace")
        return text if len(text) <= SHOWN else f"{text[:SHOWN]} ...\n"


async def print_until(process: Process, text: str, prefix: str) -> None:
    """Print a command's output up to the line that contains `text`. ProcessEnded: no such line."""
    assert process.stdout is not None
    async with asyncio.timeout(LINE_TIMEOUT):
        while line := await read_line(process.stdout):
            print(f"{prefix} {line}", end="", flush=True)
            if text in line:
                return
    raise ProcessEnded


def print_command(verb: list[str]) -> None:
    """Print a command line."""
    print(f"\n$ homing {shlex.join(verb)}", flush=True)


async def demo(once: bool) -> None:
    """Run all steps."""
    print_command(["up"])
    async with running("up") as up:
        await print_until(up, "Ready.", "up      |")
        print_command(LISTEN)
        async with running(*LISTEN) as listener:
            await print_until(listener, "joined notes", "listen  |")
            print_command(PUSH)
            push = await asyncio.create_subprocess_exec(*HOMING, *PUSH, stdin=DEVNULL)
            if await push.wait():
                raise ProcessEnded
            print(flush=True)
            await print_until(listener, "hello", "listen  |")
            if once:
                return
            print("\nThe cluster and this listener stay up. In another terminal, after `. .venv/bin/activate`:\n")
            print(
                f"  homing {shlex.join(PUSH)}\n  homing locate --file notes\n\nCtrl-C stops everything.\n", flush=True
            )
            await print_until_end(listener)


async def print_until_end(listener: Process) -> None:
    """Print further output, until Ctrl-C."""
    assert listener.stdout is not None
    while line := await read_line(listener.stdout):
        print(f"listen  | {line}", end="", flush=True)


async def main() -> int:
    """Returns the exit status: 0 when the push arrived."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--once", action="store_true", help="stop when the push has arrived")
    once = arguments.parse_args().once
    running_demo = asyncio.ensure_future(demo(once))
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, running_demo.cancel)
    try:
        await running_demo
    except asyncio.CancelledError:
        return 0
    except (ProcessEnded, TimeoutError):
        print("\nThe demo failed; the output above has the reason.", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))

"""The first push: start a cluster, connect a client, push to it, read the report. `make demo` runs this.

Everything here is the `homing` command, the way a person would type it; this script only shows it in one terminal.
"""

import argparse
import asyncio
import contextlib
import shlex
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, STDOUT, Process
from collections.abc import AsyncIterator

HOMING = [sys.executable, "-P", "-m", "homing"]
LISTEN = ["listen", "--user", "ada", "--file", "notes"]
PUSH = ["push", "--file", "notes", "--event", "hello", "--data", '{"text": "hi"}']
PATIENCE = 60.0  # seconds for a line that must come


class Stopped(Exception):
    """A part ended before it said what it should."""


@contextlib.asynccontextmanager
async def running(*verb: str) -> AsyncIterator[Process]:
    """A `homing` command that runs beside us; stopped with SIGINT, as Ctrl-C would."""
    # In a session of its own: Ctrl-C is for this script, which then stops the parts in order.
    process = await asyncio.create_subprocess_exec(
        *HOMING, *verb, stdin=DEVNULL, stdout=PIPE, stderr=STDOUT, start_new_session=True
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGINT)
            await process.communicate()


async def show_until(process: Process, wanted: str, sign: str) -> None:
    """Show a command's lines up to the one with `wanted` in it."""
    assert process.stdout is not None
    async with asyncio.timeout(PATIENCE):
        while line := (await process.stdout.readline()).decode():
            print(f"{sign} {line}", end="", flush=True)
            if wanted in line:
                return
    raise Stopped


def title(verb: list[str]) -> None:
    """The command as a person would type it."""
    print(f"\n$ homing {shlex.join(verb)}", flush=True)


async def demo(once: bool) -> None:
    """The whole show."""
    title(["up"])
    async with running("up") as up:
        await show_until(up, "Ready.", "up      |")
        title(LISTEN)
        async with running(*LISTEN) as listener:
            await show_until(listener, "joined notes", "listen  |")
            title(PUSH)
            push = await asyncio.create_subprocess_exec(*HOMING, *PUSH, stdin=DEVNULL)
            if await push.wait():
                raise Stopped
            print(flush=True)
            await show_until(listener, "hello", "listen  |")
            if once:
                return
            print("\nThe cluster and this listener stay up. In another terminal, after `. .venv/bin/activate`:\n")
            print(
                f"  homing {shlex.join(PUSH)}\n  homing locate --file notes\n\nCtrl-C stops everything.\n", flush=True
            )
            await show_until_end(listener)


async def show_until_end(listener: Process) -> None:
    """Show what else arrives, until Ctrl-C."""
    assert listener.stdout is not None
    while line := (await listener.stdout.readline()).decode():
        print(f"listen  | {line}", end="", flush=True)


async def main() -> int:
    """Exit status 0 when the push arrived."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--once", action="store_true", help="stop when the push has arrived")
    once = arguments.parse_args().once
    show = asyncio.ensure_future(demo(once))
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, show.cancel)
    try:
        await show
    except asyncio.CancelledError:
        return 0
    except (Stopped, TimeoutError):
        print("\nThis did not work; the lines above say why.", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))

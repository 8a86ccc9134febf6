"""How a service runs as a process: configuration, logs, stop signals, exit codes, and the one line that says "ready".

Exit code 0: stopped when asked. 1: could not start, or lost what it cannot work without. 2: a mistake in the command
line or the configuration. Nothing prints a stack trace at a person; logs carry it.
"""

import asyncio
import gc
import json
import logging
import os
import resource
import signal
import sys
from collections.abc import Callable, Coroutine
from typing import Any

import click

log = logging.getLogger(__name__)

YOUNG = 50_000  # containers, before the garbage collector looks


class CannotStart(Exception):
    """Why a service does not start, in one line that names the place and the cure."""


def run(main: Callable[["Stop"], Coroutine[Any, Any, None]]) -> int:
    """Run a service to its end; the answer is the exit code."""
    _raise_file_limit()
    try:
        _run_loop(main)
    except CannotStart as error:
        print(error, file=sys.stderr)
        return 1
    except BaseException as error:
        if isinstance(error, SystemExit | KeyboardInterrupt):
            raise
        log.critical("stopped by an error of our own", exc_info=error)
        return 1
    return 0


def run_command(command: click.Command, name: str, arguments: list[str]) -> int:
    """A service's command line; the answer is the exit code: 2 for a mistake in it."""
    try:
        return int(command.main(arguments, prog_name=name, standalone_mode=False) or 0)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except click.exceptions.Exit as error:
        return error.exit_code


class Stop:
    """Set when the process was asked to stop (SIGTERM, SIGINT); a second signal ends it at once."""

    def __init__(self) -> None:
        self._asked = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            self._loop.add_signal_handler(number, self._ask)

    async def wait(self) -> None:
        await self._asked.wait()

    def _ask(self) -> None:
        self._asked.set()
        for number in (signal.SIGTERM, signal.SIGINT):
            self._loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_DFL)


def say_ready(**facts: object) -> None:
    """One line of JSON on stdout, for whoever started this process.

    From now on no collection scans the start-up again, and one begins only after so many more containers were made than
    freed: nothing on a message's way makes a cycle, but pushes that wait for acks are many containers at once, and
    scanning them every 700 took a tenth of a loaded gateway's CPU (docs/performance.md, "The article's test").
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG)
    print(json.dumps(facts), flush=True)


def split_address(address: str, field: str) -> tuple[str, int]:
    """host:port as two; CannotStart names the field."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise CannotStart(f"{field}: {address!r} is not host:port")
    return host.strip("[]"), int(port)


def cannot_listen(field: str, address: str, error: OSError) -> CannotStart:
    """A port in use, or an address that is not ours."""
    why = os.strerror(error.errno) if error.errno else str(error)
    return CannotStart(f"{field}: cannot listen on {address}: {why}; free it or name another")


def _run_loop(main: Callable[[Stop], Coroutine[Any, Any, None]]) -> None:
    async def body() -> None:
        await main(Stop())

    try:
        import uvloop
    except ImportError:
        asyncio.run(body())
    else:
        uvloop.run(body())


def _raise_file_limit() -> None:
    """One file a client: take all that we may have."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))

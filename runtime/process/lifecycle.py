"""Shell: a service as a process: command line, event loop, stop signals, exit codes.

Exit code 0: stopped on request. 1: the service could not start, or has lost what it cannot work without. 2: a mistake
in the command line or the configuration. A stack trace goes to the log, never to the terminal.
"""

import asyncio
import logging
import resource
import signal
import sys
from collections.abc import Callable, Coroutine
from typing import Any

import click

log = logging.getLogger(__name__)

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class StartupError(Exception):
    """The service cannot start. The message is one line that names the place and the remedy."""

    exit_code = 1


class SettingError(StartupError):
    """A setting is wrong, which only the start has found out. Printed like other mistakes of the configuration."""

    exit_code = 2

    def __str__(self) -> str:
        return f"configuration: {super().__str__()}"


class StopSignal:
    """SIGTERM or SIGINT, as an event. After the first one, the signals have their default action again."""

    def __init__(self, worker: bool = False) -> None:
        """`worker`: only SIGTERM counts, and a second one changes nothing: its parent decides when to end it."""
        self._worker = worker
        self._received = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        for number in SIGNALS[:1] if worker else SIGNALS:
            self._loop.add_signal_handler(number, self._on_signal)

    async def wait(self) -> None:
        """Until the first signal."""
        await self._received.wait()

    async def interrupts(self, work: Coroutine[Any, Any, None]) -> bool:
        """Run `work` to its end, or cancel it when a signal comes first. Whether one came first."""
        working, stopping = asyncio.ensure_future(work), asyncio.ensure_future(self.wait())
        try:
            await asyncio.wait([working, stopping], return_when=asyncio.FIRST_COMPLETED)
        finally:
            finished = working.done()
            for task in (working, stopping):
                task.cancel()
            await asyncio.wait([working, stopping])
        if not working.cancelled():
            working.result()
        return not finished

    def _on_signal(self) -> None:
        self._received.set()
        if self._worker:
            return
        for number in SIGNALS:
            self._loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_DFL)


def run(main: Callable[[StopSignal], Coroutine[Any, Any, None]], worker: bool = False) -> int:
    """Run a service to its end. The result is the exit code. `worker`: it is one of several, with a parent."""
    _raise_file_limit()
    try:
        _run_loop(main, worker)
    except StartupError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    except BaseException as error:
        if isinstance(error, SystemExit | KeyboardInterrupt):
            raise
        log.critical("stopped by an internal error", exc_info=error)
        return 1
    return 0


HELP = {"help_option_names": ["-h", "--help"], "max_content_width": 110}
"""The context settings of a service's command line."""


def run_command(command: click.Command, name: str, arguments: list[str]) -> int:
    """Run a service's command line. The result is the exit code; 2 for a mistake in the command line."""
    try:
        return int(command.main(arguments, prog_name=name, standalone_mode=False) or 0)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except click.exceptions.Exit as error:
        return error.exit_code


def _run_loop(main: Callable[[StopSignal], Coroutine[Any, Any, None]], worker: bool) -> None:
    async def body() -> None:
        await main(StopSignal(worker))

    try:
        import uvloop
    except ImportError:
        asyncio.run(body())
    else:
        uvloop.run(body())


def _raise_file_limit() -> None:
    """Raise the soft limit of open files to the hard limit: each client takes one file."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

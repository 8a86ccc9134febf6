"""A service as a process: which end has which exit code, and what a stop signal does."""

import asyncio
import os
import resource
import signal
from collections.abc import Iterator

import click
import pytest

from runtime.process import lifecycle
from runtime.process.lifecycle import SIGNALS, StartupError, StopSignal, run, run_command


@pytest.fixture(autouse=True)
def _keep_signal_handlers() -> Iterator[None]:
    handlers = {number: signal.getsignal(number) for number in SIGNALS}
    yield
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.fixture(autouse=True)
def limits(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, tuple[int, int]]]:
    """What the service sets as its limits."""
    calls: list[tuple[int, tuple[int, int]]] = []
    monkeypatch.setattr(lifecycle.resource, "setrlimit", lambda kind, limit: calls.append((kind, limit)))
    return calls


def test_a_service_that_returns_has_exit_code_0() -> None:
    async def main(_stop: StopSignal) -> None:
        return

    assert run(main) == 0


def test_a_service_may_open_as_many_files_as_the_hard_limit_allows(limits: list[tuple[int, tuple[int, int]]]) -> None:
    async def main(_stop: StopSignal) -> None:
        return

    run(main)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert limits == [(resource.RLIMIT_NOFILE, (hard, hard))]


def test_a_service_that_cannot_start_prints_one_line_and_has_exit_code_1(capsys: pytest.CaptureFixture[str]) -> None:
    async def main(_stop: StopSignal) -> None:
        raise StartupError("gateway.listen: 'x' is not host:port")

    assert run(main) == 1
    assert capsys.readouterr() == ("", "gateway.listen: 'x' is not host:port\n")


def test_an_internal_error_is_logged_and_has_exit_code_1(
    caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    async def main(_stop: StopSignal) -> None:
        raise ValueError("a defect")

    assert run(main) == 1
    [record] = caplog.records
    assert (record.levelname, record.exc_info[0]) == ("CRITICAL", ValueError)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt])
def test_what_ends_the_interpreter_passes(error: type[BaseException]) -> None:
    async def main(_stop: StopSignal) -> None:
        raise error

    with pytest.raises(error):
        run(main)


@pytest.mark.parametrize("number", SIGNALS)
def test_a_stop_signal_is_an_event_and_a_second_signal_has_its_default_action(number: int) -> None:
    handlers = []

    async def main(stop: StopSignal) -> None:
        os.kill(os.getpid(), number)
        await stop.wait()
        handlers.extend(signal.getsignal(number) for number in SIGNALS)

    assert run(main) == 0
    assert handlers == [signal.SIG_DFL, signal.SIG_DFL]


@click.command()
@click.option("--code", type=int, default=0)
def command(code: int) -> int:
    """A service's command line."""
    return code


@pytest.mark.parametrize(
    ("arguments", "code"), [([], 0), (["--code", "1"], 1), (["--help"], 0), (["--code", "x"], 2), (["--nonsense"], 2)]
)
def test_the_exit_code_of_a_command_line(arguments: list[str], code: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(command, "homing test", arguments) == code
    assert ("Error: " in capsys.readouterr().err) is (code == 2)


async def test_a_signal_cancels_the_work_that_it_interrupts() -> None:
    stop = StopSignal()
    cancelled = []

    async def wait_for_ever() -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.append(True)

    assert await stop.interrupts(wait_for_ever())
    assert cancelled == [True]


async def test_work_that_ends_first_is_not_interrupted_and_its_error_is_raised() -> None:
    stop = StopSignal()

    async def refuse() -> None:
        raise StartupError("no")

    assert not await stop.interrupts(asyncio.sleep(0))
    with pytest.raises(StartupError, match="no"):
        await stop.interrupts(refuse())

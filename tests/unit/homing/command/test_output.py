"""A verb's output: errors of writing, and a pipe whose reader is gone."""

import asyncio
import contextlib
import errno
import io
import os
import sys

import pytest

from homing.command import output
from homing.command.output import OutputClosed, OutputError


@contextlib.contextmanager
def stdout_pipe():
    """stdout is a pipe; yields its reading end."""
    read, write = os.pipe()
    with os.fdopen(read, "rb") as reader, contextlib.redirect_stdout(os.fdopen(write, "w")) as writer:
        yield reader
    with contextlib.suppress(BrokenPipeError):
        writer.close()


async def test_work_ends_when_the_reader_goes_though_nothing_is_printed():
    with stdout_pipe() as reader:
        running = asyncio.ensure_future(output.run_while_read(asyncio.Event().wait()))
        await asyncio.sleep(0)
        reader.close()
        with pytest.raises(OutputClosed):
            await asyncio.wait_for(running, 5)


async def test_work_that_ends_first_and_its_error():
    async def fail():
        raise ValueError

    with stdout_pipe():
        await output.run_while_read(asyncio.sleep(0))
        with pytest.raises(ValueError):  # noqa: PT011
            await output.run_while_read(fail())


@pytest.mark.parametrize("stdout", [None, io.StringIO()])
async def test_output_that_is_no_pipe_is_not_watched(monkeypatch, stdout):
    monkeypatch.setattr(sys, "stdout", stdout)
    await output.run_while_read(asyncio.sleep(0))


@pytest.mark.parametrize(
    ("error", "raised"),
    [
        (BrokenPipeError(), OutputClosed),
        (OSError(errno.ENOSPC, "full"), OutputError),
        (OSError(errno.ENOSPC, "full", "a file"), OSError),
        (OSError(errno.ECONNREFUSED, "refused"), OSError),
    ],
)
def test_errors_of_output(error, raised):
    with pytest.raises(raised), output.output_errors():
        raise error


def test_a_line_to_a_closed_pipe():
    with stdout_pipe() as reader:
        reader.close()
        with pytest.raises(OutputClosed):
            output.print_line("x")
        output.discard()


def test_half_a_surrogate_pair_is_printed_escaped(capsys):
    output.print_line("half \ud83d")
    assert capsys.readouterr().out == "half \\ud83d\n"

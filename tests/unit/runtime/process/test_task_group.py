"""Loops that run together: the first error wins, the others are cancelled and awaited."""

import asyncio

import pytest

from runtime.process.task_group import run_until_first_error


class Loop:
    """Runs until the test ends it, or until it is cancelled."""

    def __init__(self, cleanup_error: Exception | None = None) -> None:
        self.end: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.state = "new"
        self._cleanup_error = cleanup_error

    async def run(self) -> None:
        self.state = "running"
        try:
            await self.end
            self.state = "returned"
        except asyncio.CancelledError:
            self.state = "cancelled"
            if self._cleanup_error is not None:
                raise self._cleanup_error from None
            raise


async def start(*loops: Loop) -> "asyncio.Task[None]":
    task = asyncio.ensure_future(run_until_first_error(*(loop.run for loop in loops)))
    while not all(loop.state == "running" for loop in loops):
        await asyncio.sleep(0)
    return task


async def test_it_returns_when_all_loops_have_returned() -> None:
    one, two = Loop(), Loop()
    task = await start(one, two)
    one.end.set_result(None)
    await asyncio.sleep(0)
    assert not task.done()
    two.end.set_result(None)
    await task
    assert (one.state, two.state) == ("returned", "returned")


async def test_the_first_error_cancels_the_others_and_is_raised_itself() -> None:
    error = ValueError("first")
    one, two = Loop(), Loop()
    task = await start(one, two)
    one.end.set_exception(error)
    with pytest.raises(ValueError, match="first") as raised:
        await task
    assert raised.value is error
    assert two.state == "cancelled"


async def test_an_error_while_the_others_are_cancelled_is_not_raised() -> None:
    one, two = Loop(cleanup_error=KeyError("second")), Loop()
    task = await start(one, two)
    two.end.set_exception(ValueError("first"))
    with pytest.raises(ValueError, match="first"):
        await task
    assert one.state == "cancelled"


async def test_to_cancel_it_cancels_all_loops() -> None:
    one, two = Loop(), Loop()
    task = await start(one, two)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (one.state, two.state) == ("cancelled", "cancelled")

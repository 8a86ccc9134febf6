"""The owner of short tasks: an error is logged and ends only its own task; `close` ends all."""

import asyncio

import pytest

from runtime.process.background_tasks import BackgroundTasks


async def test_a_task_is_kept_until_its_end() -> None:
    tasks = BackgroundTasks()
    end = asyncio.Event()

    async def work() -> None:
        await end.wait()

    task = tasks.start(work())
    assert tasks.running() == 1
    end.set()
    await task
    assert tasks.running() == 0


async def test_an_error_is_logged_and_ends_only_its_own_task(caplog: pytest.LogCaptureFixture) -> None:
    tasks = BackgroundTasks()
    other = tasks.start(asyncio.Event().wait())

    async def fail() -> None:
        raise ValueError("a defect")

    await asyncio.wait([tasks.start(fail())])
    [record] = caplog.records
    assert (record.getMessage(), record.exc_info[0]) == ("a task failed", ValueError)
    assert not other.done()
    assert tasks.running() == 1
    await tasks.close()


async def test_close_cancels_all_tasks_and_waits_for_their_end(caplog: pytest.LogCaptureFixture) -> None:
    tasks = BackgroundTasks()
    ended = []

    async def work(name: str, error: Exception | None = None) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            ended.append(name)
            if error is not None:
                raise error

    running = [tasks.start(work("one")), tasks.start(work("two", ValueError("in cleanup")))]
    await asyncio.sleep(0)
    await tasks.close()
    assert sorted(ended) == ["one", "two"]
    assert all(task.done() for task in running)
    assert tasks.running() == 0
    await tasks.close()  # a second close is no error


async def test_a_caller_may_cancel_a_task(caplog: pytest.LogCaptureFixture) -> None:
    tasks = BackgroundTasks()
    task = tasks.start(asyncio.Event().wait())
    task.cancel()
    await asyncio.wait([task])
    assert tasks.running() == 0
    assert caplog.records == []

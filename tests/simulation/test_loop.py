"""Virtual time: the clock jumps, processes pause and die, a blocked link keeps what is sent."""

import asyncio
import time

import pytest

from tests.simulation.loop import ProcessLoop, Scheduler
from tests.simulation.network import Network


class Rig:
    """Two processes, and what they have noted, with the time."""

    def __init__(self) -> None:
        self.scheduler = Scheduler()
        self.one, self.two = ProcessLoop(self.scheduler, "one"), ProcessLoop(self.scheduler, "two")
        self.network = Network(self.scheduler, 1)
        self.notes: list[tuple[float, str]] = []

    def note(self, text: str) -> None:
        self.notes.append((self.scheduler.now, text))

    def texts(self) -> list[str]:
        return [text for _, text in self.notes]


def test_a_task_sleeps_an_hour_at_once() -> None:
    rig = Rig()

    async def sleep() -> None:
        assert asyncio.get_running_loop() is rig.one
        async with asyncio.TaskGroup() as group:
            group.create_task(asyncio.sleep(3600))
        rig.note("awake")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(60):
                await asyncio.Event().wait()
        rig.note("timeout")

    began = time.monotonic()
    rig.one.create_task(sleep())
    rig.scheduler.run_until(10_000)
    assert rig.notes == [(3600, "awake"), (3660, "timeout")]
    assert time.monotonic() - began < 1
    assert rig.scheduler.errors == []


def test_timers_of_all_processes_fire_in_the_order_of_time() -> None:
    rig = Rig()
    for loop, at in (rig.two, 2.0), (rig.one, 1.0), (rig.one, 3.0), (rig.two, 1.0):
        loop.call_at(at, rig.note, f"{loop.name} {at}")
    rig.one.call_at(1.5, rig.note, "cancelled").cancel()
    rig.scheduler.run_until(2.5)
    assert rig.texts() == ["one 1.0", "two 1.0", "two 2.0"]
    assert rig.scheduler.now == 2.5


def test_a_paused_process_runs_nothing_and_then_everything_late_and_in_order() -> None:
    rig = Rig()
    rig.one.call_at(1.0, rig.note, "first")
    rig.one.call_at(2.0, rig.note, "second")
    rig.two.call_at(1.5, rig.note, "other")
    rig.one.pause()
    rig.scheduler.run_until(5.0)
    assert rig.notes == [(1.5, "other")]
    rig.one.call_soon(rig.note, "third")
    rig.one.resume()
    rig.scheduler.run_until(5.0)
    assert rig.notes[1:] == [(5.0, "first"), (5.0, "second"), (5.0, "third")]


def test_a_dead_process_runs_nothing_more_and_its_tasks_end_with_the_run() -> None:
    rig = Rig()

    async def wait() -> None:
        try:
            await asyncio.sleep(1)
        finally:
            rig.note("ended")

    task = rig.one.create_task(wait())
    rig.scheduler.run_until(0.5)
    rig.one.kill()
    rig.scheduler.run_until(5.0)
    assert rig.notes == []
    rig.scheduler.close()
    assert task.cancelled()
    assert rig.texts() == ["ended"]


def test_an_error_of_a_callback_or_a_task_is_an_error_of_the_run() -> None:
    rig = Rig()

    def fail() -> None:
        raise ValueError("a planted error")

    rig.one.call_soon(fail)
    rig.one.call_soon(rig.note, "goes on")
    rig.scheduler.run_until(1.0)
    assert rig.texts() == ["goes on"]
    assert "a planted error" in rig.scheduler.errors[0]


def test_a_process_that_never_waits_is_an_error() -> None:
    rig = Rig()

    def again() -> None:
        rig.one.call_soon(again)

    rig.one.call_soon(again)
    with pytest.raises(RuntimeError, match="one never waits"):
        rig.scheduler.run_until(1.0)


def test_a_connection_keeps_its_order_and_a_blocked_link_keeps_what_is_sent() -> None:
    rig = Rig()
    pipe = rig.network.pipe("one", rig.two)
    link = rig.network.link("one", "two")
    link.delay = 1.0
    pipe.send(rig.note, "slow")
    link.delay = 0.0
    pipe.send(rig.note, "behind it")
    rig.scheduler.run_until(2.0)
    link.block()
    pipe.send(rig.note, "blocked")
    rig.network.pipe("two", rig.one).send(rig.note, "the other way")
    rig.scheduler.run_until(9.0)
    assert rig.texts() == ["slow", "behind it", "the other way"]
    link.unblock()
    rig.scheduler.run_until(10.0)
    assert rig.texts()[3:] == ["blocked"]
    assert 9.0 < rig.notes[-1][0] < 9.01

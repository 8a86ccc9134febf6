"""A pause is what no tick has seen for a second, whoever looks first."""

import asyncio

import pytest

from runtime.process import pauses
from runtime.process.pauses import Pauses


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_gap_between_ticks_is_a_pause_and_a_short_one_is_none() -> None:
    clock = Clock()
    found = Pauses(clock)
    for _ in range(20):
        clock.now += 1.0
        found.tick()
    assert not found.paused_since(0.0)
    clock.now += 1.01
    found.tick()
    assert found.paused_since(120.0)
    assert not found.paused_since(clock.now), "the pause is over by then"


def test_who_asks_before_the_first_tick_after_a_pause_is_told_of_it() -> None:
    clock = Clock()
    found = Pauses(clock)
    clock.now = 130.0
    assert found.paused_since(129.9)


async def test_it_ticks_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pauses, "TICK", 0)
    clock = Clock()
    found = Pauses(clock)
    running = asyncio.ensure_future(found.run())
    for _ in range(5):
        await asyncio.sleep(0)
        clock.now += 0.9
    running.cancel()
    assert not found.paused_since(0.0)

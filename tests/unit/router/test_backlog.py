"""What is read right after a pause is as old as the pause."""

import asyncio

import pytest

from router import backlog
from router.backlog import Backlog
from runtime.process import pauses

SECOND = 1_000_000_000


class Rig:
    def __init__(self) -> None:
        self.now = 100.0
        self.pauses = 0
        self.backlog = Backlog(self._on_pause, lambda: self.now)

    def _on_pause(self) -> None:
        self.pauses += 1

    def received(self) -> float:
        return self.backlog.received(round(self.now * SECOND)) / SECOND


async def test_without_a_pause_what_is_read_was_received_now(monkeypatch: pytest.MonkeyPatch) -> None:
    rig = Rig()
    assert rig.received() == 100.0
    rig.now += 0.9
    assert rig.received() == 100.9
    assert rig.pauses == 0


async def test_what_waited_counts_from_before_the_pause_until_it_was_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backlog, "READ_WITHIN", 0.0)
    rig = Rig()
    rig.now = 132.0
    assert [rig.received(), rig.received()] == [100.0, 100.0]
    assert rig.pauses == 1, "once, before anything is used"
    while rig.received() == 100.0:
        await asyncio.sleep(0)
    assert rig.received() == 132.0
    rig.now = 140.0
    assert (rig.received(), rig.pauses) == (132.0, 2)


async def test_a_pause_is_noticed_without_traffic_and_the_start_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pauses, "TICK", 0)
    rig = Rig()
    rig.now = 105.0
    running = asyncio.ensure_future(rig.backlog.run())
    await asyncio.sleep(0)
    assert not rig.pauses
    rig.now = 110.0
    while not rig.pauses:
        await asyncio.sleep(0)
    assert rig.received() == 105.0
    running.cancel()

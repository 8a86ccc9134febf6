"""One loop timer over a wheel, on the loop that the services run on."""

import asyncio

import pytest
import uvloop

from gateway.sessions.timer import Timer


@pytest.mark.parametrize("make_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_what_is_due_already_fires_in_the_next_turns_and_harms_no_later_one(make_loop) -> None:
    """uvloop gives what is due at once another kind of handle, which has no time."""
    loop = make_loop()
    fired: list[str] = []

    async def play() -> None:
        timer = Timer[str](0.001, lambda item, _now: fired.append(item), loop)
        for item in ("one", "two", "three"):
            timer.schedule(item, loop.time() - 1.0)
        timer.schedule("late", loop.time() + 60.0)
        async with asyncio.timeout(5):
            while len(fired) < 3:
                await asyncio.sleep(0)
        timer.close()

    try:
        loop.run_until_complete(play())
    finally:
        loop.close()
    assert sorted(fired) == ["one", "three", "two"]

"""Who waits for the routers' tables, and for how long."""

import asyncio

from gateway.registration.barrier import RouteAckBarrier


async def test_without_a_router_nobody_waits() -> None:
    assert await RouteAckBarrier().wait_reachable(7)


async def test_the_slowest_router_decides() -> None:
    reach = RouteAckBarrier(limit=60)
    reach.opened("a", 3)
    reach.opened("b", 5)
    waiting = asyncio.ensure_future(reach.wait_reachable(5))
    await asyncio.sleep(0)
    reach.acknowledged("a", 4)
    await asyncio.sleep(0)
    assert not waiting.done()
    reach.acknowledged("a", 5)
    assert await waiting
    assert reach.holds(5)
    assert not reach.holds(6)


async def test_a_router_that_goes_holds_nobody_up() -> None:
    reach = RouteAckBarrier(limit=60)
    reach.opened("a", 0)
    waiting = asyncio.ensure_future(reach.wait_reachable(1))
    await asyncio.sleep(0)
    reach.closed("a")
    assert await waiting


async def test_patience_ends_and_is_counted() -> None:
    reach = RouteAckBarrier(limit=0.0)
    reach.opened("a", 0)
    assert not await reach.wait_reachable(1)
    assert reach.timeouts == 1
    reach.acknowledged("gone", 9)  # one that has no stream is not believed
    reach.acknowledged("a", 1)
    reach.acknowledged("a", 0)  # and nothing is taken back
    assert await reach.wait_reachable(1)

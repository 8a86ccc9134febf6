"""Who waits for the routers' tables, and for how long."""

import asyncio
from collections.abc import Hashable

from gateway.registration.barrier import RouteAckBarrier


class Lags:
    """Which routers were told to scatter."""

    def __init__(self) -> None:
        self.told: list[tuple[Hashable, bool]] = []

    def __call__(self, stream: Hashable, lags: bool) -> None:
        self.told.append((stream, lags))


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


async def test_a_router_that_is_late_lags_until_it_has_everything_that_clients_were_told_of() -> None:
    lags = Lags()
    reach = RouteAckBarrier(limit=0.0, on_lag=lags, wait_for=60)
    reach.opened("quick", 9)
    reach.opened("late", 0)
    assert not await reach.wait_reachable(3)
    assert not await reach.wait_reachable(5)
    assert lags.told == [("late", True)]
    reach.acknowledged("late", 3)
    assert lags.told == [("late", True)]
    reach.acknowledged("late", 5)
    assert lags.told == [("late", True), ("late", False)]


async def test_nobody_waits_for_a_router_that_lags_for_long_and_it_counts_again_when_it_has_caught_up() -> None:
    lags = Lags()
    reach = RouteAckBarrier(limit=60, on_lag=lags, wait_for=0.0)
    reach.opened("frozen", 0)
    reach.opened("well", 9)
    reach._limit = 0.0
    assert not await reach.wait_reachable(1)
    reach._limit = 60
    assert await reach.wait_reachable(2), "at once"
    assert not reach.holds(2)
    reach.acknowledged("frozen", 1)
    assert lags.told == [("frozen", True)], "it was told of 2 without it"
    reach.acknowledged("frozen", 2)
    assert lags.told == [("frozen", True), ("frozen", False)]
    waiting = asyncio.ensure_future(reach.wait_reachable(3))
    await asyncio.sleep(0)
    assert not waiting.done(), "it counts again"
    reach.acknowledged("frozen", 3)
    assert await waiting


async def test_a_router_that_comes_with_an_old_table_lags_from_its_first_moment() -> None:
    lags = Lags()
    reach = RouteAckBarrier(on_lag=lags)
    assert await reach.wait_reachable(4)  # no router is there
    reach.opened("old", 3)
    reach.opened("new", 4)
    assert lags.told == [("old", True)]
    reach.closed("old")
    reach.forget_all()
    reach.opened("next incarnation", 0)
    assert lags.told == [("old", True)]

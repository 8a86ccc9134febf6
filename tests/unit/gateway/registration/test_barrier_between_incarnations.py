"""Who waited in the last incarnation says nothing about the batches of the next one."""

import asyncio

from gateway.registration.barrier import RouteAckBarrier
from tests.unit.gateway.registration.test_barrier import Lags


async def test_a_wait_of_the_last_incarnation_makes_no_router_of_the_next_one_lag() -> None:
    lags = Lags()
    reach = RouteAckBarrier(limit=60, on_lag=lags)
    reach.opened("old stream", 4_999)
    waiting = asyncio.ensure_future(reach.wait_reachable(5_000))
    await asyncio.sleep(0)
    reach.forget_all()  # the batches of the next incarnation are counted from 1
    await waiting
    lags.told.clear()
    reach.opened("new stream", 3)
    assert lags.told == [], "the router holds all that the new incarnation has registered"
    assert await asyncio.wait_for(reach.wait_reachable(3), 1)


async def test_a_router_that_was_given_up_counts_again_although_clients_keep_coming() -> None:
    """It is one batch behind, as every router is for some ms; each client that is let in meanwhile moves its goal on."""
    lags = Lags()
    reach = RouteAckBarrier(limit=0.05, on_lag=lags)
    reach.opened("a", 0)
    assert not await reach.wait_reachable(1)
    reach._lagging["a"].since -= 60  # it is given up
    for batch in range(2, 100):
        waiting = asyncio.ensure_future(reach.wait_reachable(batch))
        await asyncio.sleep(0)
        reach.acknowledged("a", batch - 1)
        await asyncio.sleep(0)
        reach.acknowledged("a", batch) if not waiting.done() else None
        await waiting
    assert lags.told == [("a", True), ("a", False)], "it scatters for as long as clients come"

"""Found by `make faults`, experiment 12: two stale routes of one user hide a session of the user."""

import asyncio

import pytest

from tests.contract.test_delivery import RoutedWorld


@pytest.mark.xfail(reason="router.delivery.plan.denied compares numbers of sessions, not which ones", strict=True)
async def test_a_node_that_has_another_session_of_the_user_than_the_table_says() -> None:
    """The table has session 1 on g0, which has session 2; so many answers as routes count as all of them."""
    world = RoutedWorld()
    async with asyncio.TaskGroup() as group:
        world.fleet.start(group)
        g0, g1, g2 = [await world.node(name) for name in ("g0", "g1", "g2")]
        world.connect_session(g2, "ada", 1)
        world.connect_session(g0, "ada", 2)
        world.feed.session(g0, "ada", 1)  # newer than the right ones
        world.feed.session(g1, "ada", 2)
        report = await world.push(user="ada", event="e")
        await world.close()
        world.fleet.close()
    assert {delivered.session for delivered in report.deliveries} == {1, 2}

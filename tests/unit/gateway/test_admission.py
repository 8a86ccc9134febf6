"""Who may come in, by the state of the node, and that "connected" waits until the session is reachable."""

import asyncio

from gateway.door.values import Arrival, Refusal
from gateway.sessions.connection import Connection
from registry.keys import Keys
from registry.lease_state import LeaseState
from tests.support.gateway import ADDRESS, JSON, GatewayRig
from tests.support.wire import identity

ARRIVAL = Arrival(JSON, identity(), (), ADDRESS)


async def test_connected_waits_for_the_routers_tables(rig: GatewayRig) -> None:
    rig.barrier.opened("router", 0)
    entering = asyncio.ensure_future(rig.session())
    while not rig.barrier.waiting():
        await asyncio.sleep(0)
    assert not entering.done()
    rig.barrier.acknowledged("router", 10)
    assert (await entering).registered


async def test_nobody_enters_while_closed_lapsed_or_fenced(rig: GatewayRig) -> None:
    rig.admission.close()
    refusal = await rig.authentication.enter(ARRIVAL)
    assert isinstance(refusal, Refusal)
    assert (refusal.status, rig.counters.connections_refused) == (503, 1)
    rig.admission.open()
    for state in LeaseState:
        rig.lease.state = state
        enters = state in (LeaseState.HELD, LeaseState.AWAY)
        assert isinstance(await rig.authentication.enter(ARRIVAL), Connection) is enters


async def test_a_session_of_an_incarnation_that_is_over_does_not_enter(rig: GatewayRig) -> None:
    rig.barrier.opened("router", 0)
    entering = asyncio.ensure_future(rig.authentication.enter(ARRIVAL))
    while not rig.barrier.waiting():
        await asyncio.sleep(0)
    node = await rig.store.get(Keys("c").node("node-1"))
    assert node is not None
    await rig.store.revoke(node.lease)  # the key is gone, as the routers have read
    rig.loop.registration.lease.set_fenced()  # noticed at its next check; the next incarnation then begins by itself
    assert isinstance(await entering, Refusal)
    rig.barrier.opened("router", 0)
    assert not rig.index.sessions
    assert rig.counters.incarnations_lost == 1


async def test_a_client_that_is_being_registered_when_the_drain_begins_does_not_enter(rig: GatewayRig) -> None:
    rig.barrier.opened("router", 0)
    entering = asyncio.ensure_future(rig.authentication.enter(ARRIVAL))
    while not rig.barrier.waiting():
        await asyncio.sleep(0)
    rig.admission.close()
    rig.barrier.acknowledged("router", 10)
    refusal = await entering
    assert isinstance(refusal, Refusal)
    assert refusal.status == 503
    assert not rig.index.sessions


async def test_too_many_files_at_once_are_refused(rig: GatewayRig) -> None:
    refusal = await rig.authentication.enter(Arrival(JSON, identity("ada", "*"), ("a", "b", "c", "d"), ADDRESS))
    assert isinstance(refusal, Refusal)
    assert (refusal.status, refusal.code) == (403, "forbidden")


async def test_while_the_event_buffer_is_full_nobody_new_comes(rig: GatewayRig) -> None:
    rig.sink.room.clear()
    refusal = await rig.authentication.enter(ARRIVAL)
    assert isinstance(refusal, Refusal)
    assert (refusal.status, refusal.code) == (503, "busy")


async def test_a_registration_that_fails_leaves_nothing(rig: GatewayRig) -> None:
    rig.barrier.opened("router", 0)
    entering = asyncio.ensure_future(rig.authentication.enter(ARRIVAL))
    while not rig.barrier.waiting():
        await asyncio.sleep(0)
    entering.cancel()
    await asyncio.gather(entering, return_exceptions=True)
    assert not rig.index.sessions
    assert rig.sink.records == []

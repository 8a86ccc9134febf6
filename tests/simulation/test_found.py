"""What the simulation has found, each as small as it gets."""

import asyncio
from collections.abc import Sequence

import pytest

from gateway.door.values import Arrival, Refusal
from gateway.registration import session_registration
from gateway.sessions.session import Session
from registry.keys import Keys
from registry.lease_state import LeaseState
from registry.memory import MemoryStore
from registry.store import Compare, Operation, TransactionResult
from router.delivery import routed
from tests.contract.test_delivery import RoutedWorld, settle
from tests.support.faulty_store import FaultyStore
from tests.support.gateway import ADDRESS, JSON, GatewayRig
from tests.support.wire import identity


async def test_a_push_that_is_healed_late_does_not_overtake(monkeypatch: pytest.MonkeyPatch) -> None:
    """A node answers late that a session is gone. Its user has come back elsewhere and was reached by a later push."""
    monkeypatch.setattr(routed, "SETTLE_LIMIT", 0.001)
    world = RoutedWorld()
    async with asyncio.TaskGroup() as group:
        world.fleet.start(group)
        one, two, three = [await world.node(name) for name in ("one", "two", "three")]
        world.connect_session(one, "ada", 1)
        world.connect_session(two, "ada", 2)
        world.stall(two, True)
        first = group.create_task(world.push(user="ada", event="first"))
        await settle()
        world.sessions[two].clear()
        world.feed.session_gone(two, "ada", 2)
        world.connect_session(three, "ada", 3)
        await world.push(user="ada", event="second")
        world.stall(two, False)
        await first
        await world.close()
        world.fleet.close()
    received = [one.event for incarnation, one in world.served if incarnation == three]
    assert received in (["second"], ["first", "second"])


async def test_no_client_is_admitted_by_an_incarnation_that_may_be_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """The process was stopped past its lease while it registered the client, for whom pushes are held."""
    monkeypatch.setattr(session_registration, "COMMIT_LIMIT", 0.001)
    store = FaultyStore(MemoryStore())
    rig = GatewayRig(store)  # type: ignore[arg-type]
    await rig.loop.start()
    running = asyncio.ensure_future(rig.loop.run())
    await asyncio.sleep(0)
    store.away = True
    original = rig.registration.register

    async def register(session: Session, files: Sequence[str]) -> None:
        await original(session, files)
        rig.lease.state = LeaseState.LAPSED

    monkeypatch.setattr(rig.registration, "register", register)
    try:
        ada = identity("ada")
        entered = await rig.admission.admit(Arrival(JSON, ada, (), ADDRESS), ada, ())
        assert isinstance(entered, Refusal)
    finally:
        store.away = False
        await rig.tasks.close()
        await rig.loop.end()
        await running


class LeaseEndsAtFloor(FaultyStore):
    """Once, the lease of a node ends before its first ids are reserved, as when the process was stopped there."""

    ends = True

    async def transaction(
        self, compare: Sequence[Compare], success: Sequence[Operation], failure: Sequence[Operation] = ()
    ) -> TransactionResult:
        assert isinstance(self.inner, MemoryStore)
        if self.ends and any(one.key.startswith(f"{Keys('c').prefix}floors/") for one in success):
            self.ends = False
            for lease in list(self.inner._leases):
                self.inner._end_lease(lease)
        return await super().transaction(compare, success, failure)


async def test_a_gateway_starts_although_its_first_lease_ends_at_once() -> None:
    rig = GatewayRig(LeaseEndsAtFloor(MemoryStore()))  # type: ignore[arg-type]
    registration = await rig.loop.start()
    assert not registration.lapsed()

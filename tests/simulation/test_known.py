"""What the simulation has found and what is not mended yet, each as small as it gets, and with a seed that shows it.

A test here that passes is an error (`xfail_strict`): then its finding goes, and its invariant moves from `KNOWN` to
`INVARIANTS` in `tests.simulation.invariants`.
"""

import asyncio
from collections.abc import Sequence

import pytest

from gateway.door.values import Arrival, Refusal
from gateway.registration import session_registration
from gateway.registration.barrier import RouteAckBarrier
from gateway.registration.loop import RegistrationLoop
from gateway.sessions.index import Index
from gateway.sessions.session import Session
from homing.internal.v1 import node_pb2
from homing.v1.router_pb2 import Delivery
from observability import names
from observability.counters import counters
from registry.keys import Keys
from registry.lease_state import LeaseState
from registry.memory import MemoryStore
from registry.model import Incarnation, Node
from registry.ports import RegistrySettings
from registry.registrar import StoreRegistrar, boottime
from registry.store import Compare, Operation, TransactionResult
from router.delivery import routed
from runtime.process.pauses import Pauses
from tests.contract.test_delivery import RoutedWorld, facts, settle
from tests.simulation.run import run
from tests.support.faulty_store import FaultyStore
from tests.support.gateway import ADDRESS, JSON, GatewayRig
from tests.support.wire import identity

SHOWN_BY = {
    "I2": ("expire lease", "delay"),
    "order": ("delay",),
    "I4": ("block store both ways",),
    "crash": ("expire lease",),
}
"""The kind of fault under which each invariant of `KNOWN` does not hold."""


@pytest.mark.xfail(reason="whoever is healed late overtakes", strict=True)
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


class OldEpochWorld(RoutedWorld):
    """Nodes that are `over` answer OLD_EPOCH."""

    def __init__(self) -> None:
        super().__init__()
        self.over: set[Incarnation] = set()

    def carry_out(self, incarnation: Incarnation, one: node_pb2.Push) -> node_pb2.PushAnswer | None:
        if incarnation in self.over:
            return node_pb2.PushAnswer(call=one.call, verdict=node_pb2.OLD_EPOCH)
        return super().carry_out(incarnation, one)


@pytest.mark.xfail(reason="healing looks at incarnations, and not at nodes", strict=True)
async def test_healing_does_not_send_again_to_a_node_that_has_written_under_its_last_epoch() -> None:
    """Another node answers late that it has none of the sessions; meanwhile the first one has kept its own."""
    world = RoutedWorld()
    async with asyncio.TaskGroup() as group:
        world.fleet.start(group)
        one, two = [await world.node(name) for name in ("one", "two")]
        world.connect_session(one, "ada", 1)
        world.connect_session(two, "ada", 2)
        world.sessions[one].clear()
        world.stall(one, True)
        pushing = group.create_task(world.push(user="ada"))
        await settle()
        renewed = await world.node("two")
        world.connect_session(renewed, "ada", 2)
        world.stall(one, False)
        report = await pushing
        await world.close()
        world.fleet.close()
    assert [incarnation for incarnation, _ in world.served] == [two]
    assert facts(report)[0] == {"WRITTEN": 1}


@pytest.mark.xfail(reason="what answers OLD_EPOCH after healing was sent has no outcome", strict=True)
async def test_a_node_that_is_over_is_reported_also_when_it_answers_after_healing() -> None:
    world = OldEpochWorld()
    async with asyncio.TaskGroup() as group:
        world.fleet.start(group)
        one, two, three = [await world.node(name) for name in ("one", "two", "three")]
        for sid, incarnation in enumerate((one, two, three), 1):
            world.connect_session(incarnation, "ada", sid)
        world.over = {one, two}
        world.stall(two, True)
        pushing = group.create_task(world.push(user="ada"))
        await asyncio.sleep(0.1)  # healing waits at most 50 ms
        world.stall(two, False)
        report = await pushing
        await world.close()
        world.fleet.close()
    outcomes = {delivery.session: delivery.outcome for delivery in report.deliveries}
    assert outcomes == {1: Delivery.UNREACHABLE, 2: Delivery.UNREACHABLE, 3: Delivery.WRITTEN}


@pytest.mark.xfail(reason="admission looks at the lease before it waits, and not after", strict=True)
async def test_no_client_is_admitted_by_an_incarnation_that_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """The registry does not answer, and a router does meanwhile: fenced. Pushes were held for the client."""
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
        rig.lease.state = LeaseState.FENCED

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

    ends = False

    def end_leases(self) -> None:
        assert isinstance(self.inner, MemoryStore)
        for lease in list(self.inner._leases):
            self.inner._end_lease(lease)

    async def transaction(
        self, compare: Sequence[Compare], success: Sequence[Operation], failure: Sequence[Operation] = ()
    ) -> TransactionResult:
        if self.ends and any(one.key.startswith(f"{Keys('c').prefix}floors/") for one in success):
            self.ends = False
            self.end_leases()
        return await super().transaction(compare, success, failure)


@pytest.mark.xfail(reason="RegistrationLoop does not expect FencedError from Registrar.begin", strict=True)
async def test_an_incarnation_that_ends_while_it_begins_is_followed_by_another() -> None:
    store = LeaseEndsAtFloor(MemoryStore())
    registrar = StoreRegistrar(
        store, RegistrySettings(cluster="c"), "node-1", lambda machine: Node("ws://a", "b:1", "c:1", machine, "test")
    )
    counted = counters(names.GATEWAY)
    loop = RegistrationLoop(registrar, Index[Session](), RouteAckBarrier(), counted, Pauses(boottime))
    first = await loop.start()
    store.end_leases()
    store.ends = True
    running = asyncio.ensure_future(loop.run())
    try:
        async with asyncio.timeout(2.0):
            while loop.incarnation == first.incarnation and not running.done():
                await asyncio.sleep(0.01)
        assert not running.done()
    finally:
        await loop.end()
        await asyncio.gather(running, return_exceptions=True)


@pytest.mark.parametrize("invariant", SHOWN_BY)
@pytest.mark.xfail(reason="see above", strict=True)
def test_some_seed_shows_it(invariant: str) -> None:
    for seed in range(1, 20):
        result = run(seed, 400, None, SHOWN_BY[invariant], strict=True)
        assert invariant not in {violation.invariant for violation in result.violations}

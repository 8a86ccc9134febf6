"""One incarnation after the other: what a fenced node does to its sessions, and that the next one begins by itself."""

import asyncio
from collections.abc import Callable

import pytest

from gateway.registration.barrier import RouteAckBarrier
from gateway.registration.loop import NotRegistered, RegistrationLoop
from gateway.sessions.index import Index
from gateway.sessions.session import Session
from gateway.sessions.stage import Stage
from observability import names
from observability.counters import counters
from registry.lease_state import FencingAnswer, LeaseState, LeaseTracker
from registry.model import Incarnation
from registry.store import StoreUnavailable
from tests.support.wire import RecordingHandler, make_session, open_connection


class Registration:
    """A registration that is over when the test says so."""

    def __init__(self, epoch: int) -> None:
        self.incarnation = Incarnation("n", epoch)
        self.lease = LeaseTracker(10, 0.0)
        self.over = asyncio.Event()
        self.drained = False

    async def run(self) -> None:
        await self.over.wait()

    async def end(self) -> None:
        self.over.set()

    async def drain(self) -> None:
        self.drained = True

    def unregistered(self) -> bool:
        return False


class Registrar:
    """Begins incarnations, or fails first."""

    def __init__(self) -> None:
        self.begun: list[Registration] = []
        self.failures: list[Exception] = []
        self.may_begin = asyncio.Event()
        self.may_begin.set()

    async def begin(self) -> Registration:
        await self.may_begin.wait()
        if self.failures:
            raise self.failures.pop()
        self.begun.append(Registration(len(self.begun) + 1))
        return self.begun[-1]


class Rig:
    def __init__(self) -> None:
        self.registrar = Registrar()
        self.index = Index[Session]()
        self.barrier = RouteAckBarrier()
        self.counters = counters(names.GATEWAY)
        self.loop = RegistrationLoop(
            self.registrar,
            self.index,
            self.barrier,
            self.counters,
            lambda: 0.0,  # type: ignore[arg-type]
        )

    async def until(self, true: Callable[[], object]) -> None:
        while not true():
            await asyncio.sleep(0)


@pytest.fixture
async def rig() -> Rig:
    return Rig()


async def test_before_the_first_incarnation_nothing_is_allowed(rig: Rig) -> None:
    assert (rig.loop.incarnation, rig.loop.lease_state(), rig.loop.unregistered()) == (None, LeaseState.FENCED, False)
    with pytest.raises(NotRegistered):
        _ = rig.loop.registration


async def test_the_live_registration_is_what_start_returns(rig: Rig) -> None:
    registration = await rig.loop.start()
    assert rig.loop.registration is registration
    assert rig.loop.lease_state() is LeaseState.HELD
    rig.loop.on_fencing_answer(FencingAnswer.FENCED, 0.0)
    assert rig.loop.lease_state() is LeaseState.FENCED


async def test_a_fenced_node_closes_its_sessions_at_once_and_its_clients_in_the_next_incarnation(rig: Rig) -> None:
    await rig.loop.start()
    running = asyncio.ensure_future(rig.loop.run())
    attached, registering = make_session(1), make_session(2)
    handler = RecordingHandler()
    attached.attach(open_connection(handler, attached))
    for session in (attached, registering):
        rig.index.add(session)
    rig.registrar.may_begin.clear()
    rig.registrar.failures = [StoreUnavailable("etcd is away")]
    rig.barrier.opened("an old stream", 5)
    rig.registrar.begun[0].over.set()
    await rig.until(lambda: rig.counters.incarnations_lost)
    assert (attached.stage, registering.stage, len(rig.index.sessions)) == (Stage.CLOSED, Stage.CLOSED, 0)
    assert rig.loop.lease_state() is LeaseState.FENCED
    rig.registrar.may_begin.set()
    await rig.until(lambda: len(rig.registrar.begun) == 2)
    assert rig.barrier.holds(10), "streams of the old incarnation hold nobody up"
    rig.barrier.opened("a new stream", 0)
    await rig.until(lambda: "request reconnect" in dict(handler.notes))
    assert rig.loop.incarnation == Incarnation("n", 2)
    await rig.loop.end()
    await running


async def test_drain_marks_the_current_incarnation(rig: Rig) -> None:
    await rig.loop.start()
    await rig.loop.drain()
    assert rig.registrar.begun[0].drained

"""One incarnation after the other: what a fenced node does to its sessions, and that the next one begins by itself."""

import asyncio
from collections.abc import Callable

import pytest

from gateway.registration import loop as loop_module
from gateway.registration.barrier import RouteAckBarrier
from gateway.registration.loop import NotRegistered, RegistrationLoop
from gateway.sessions.index import Index
from gateway.sessions.session import Session
from gateway.sessions.stage import Stage
from observability import names
from observability.counters import counters
from registry.lease_state import FencingAnswer, LeaseState, LeaseTracker
from registry.model import Incarnation, SessionInfo
from registry.ports import RegistryError
from registry.store import StoreUnavailable
from runtime.process.pauses import Pauses
from tests.support.wire import RecordingHandler, make_session, open_connection


class Registration:
    """A registration that is over when the test says so."""

    def __init__(self, epoch: int) -> None:
        self.incarnation = Incarnation("n", epoch)
        self.machine = 7
        self.lease = LeaseTracker(10, 0.0)
        self.over = asyncio.Event()
        self.drained = False
        self.sessions: dict[int, asyncio.Future[int]] = {}
        self.files: dict[str, asyncio.Future[int]] = {}
        self.restored = False

    async def run(self) -> None:
        await self.over.wait()

    async def end(self) -> None:
        self.over.set()

    async def drain(self) -> None:
        self.drained = True

    def unregistered(self) -> bool:
        return False

    def register_session(self, user: str, sid: int, info: SessionInfo) -> "asyncio.Future[int]":
        return self.sessions.setdefault(sid, asyncio.get_running_loop().create_future())

    def register_file(self, file: str) -> "asyncio.Future[int]":
        return self.files.setdefault(file, asyncio.get_running_loop().create_future())

    def set_restored(self) -> None:
        self.restored = True


class Registrar:
    """Begins incarnations, or fails first."""

    def __init__(self) -> None:
        self.begun: list[Registration] = []
        self.failures: list[Exception] = []
        self.kept_machines: list[int] = []  # of `begin_again`
        self.refusal: Exception | None = None  # of `begin_again`
        self.may_begin = asyncio.Event()
        self.may_begin.set()

    async def begin(self) -> Registration:
        await self.may_begin.wait()
        if self.failures:
            raise self.failures.pop()
        self.begun.append(Registration(len(self.begun) + 1))
        return self.begun[-1]

    async def begin_again(self, machine: int) -> Registration:
        self.kept_machines.append(machine)
        if self.refusal is not None:
            raise self.refusal
        return await self.begin()


class Rig:
    def __init__(self) -> None:
        self.registrar = Registrar()
        self.index = Index[Session]()
        self.barrier = RouteAckBarrier()
        self.counters = counters(names.GATEWAY)
        self.now = 0.0
        self.pauses = Pauses(lambda: self.now)
        self.loop = RegistrationLoop(
            self.registrar,  # type: ignore[arg-type]
            self.index,
            self.barrier,
            self.counters,
            self.pauses,
            lambda: 0.0,
        )

    def connect(self, sid: int, *files: str) -> RecordingHandler:
        """A session whose handler is told when its client shall reconnect."""
        session, handler = make_session(sid), RecordingHandler()
        session.attach(open_connection(handler, session))
        self.index.add(session)
        for file in files:
            self.index.join(session, file)
        return handler

    async def until(self, true: Callable[[], object]) -> None:
        while not true():
            await asyncio.sleep(0)


async def settle() -> None:
    """Let everything happen that can happen now."""
    for _ in range(20):
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


async def test_a_paused_node_closes_its_sessions_and_clients_at_once(rig: Rig) -> None:
    await rig.loop.start()
    running = asyncio.ensure_future(rig.loop.run())
    await asyncio.sleep(0)
    rig.now = 5.0  # no tick for so long, and the lease was last confirmed before
    attached, registering = make_session(1), make_session(2)
    handler = RecordingHandler()
    attached.attach(open_connection(handler, attached))
    for session in (attached, registering):
        rig.index.add(session)
    rig.registrar.may_begin.clear()
    rig.registrar.failures = [StoreUnavailable("etcd is away")]
    rig.barrier.opened("an old stream", 5)
    rig.registrar.begun[0].over.set()
    await rig.until(lambda: rig.counters.incarnations_lost and not rig.index.sessions)
    assert (attached.stage, registering.stage, len(rig.index.sessions)) == (Stage.CLOSED, Stage.CLOSED, 0)
    assert rig.loop.lease_state() is LeaseState.FENCED
    await rig.until(lambda: "request reconnect" in dict(handler.notes))
    assert len(rig.registrar.begun) == 1, "clients do not wait for the next incarnation"
    rig.registrar.may_begin.set()
    await rig.until(lambda: len(rig.registrar.begun) == 2)
    await rig.until(lambda: rig.barrier.holds(10))  # streams of the old incarnation hold nobody up
    rig.barrier.opened("a new stream", 0)
    await rig.until(lambda: rig.loop.lease_state() is LeaseState.HELD)
    assert rig.loop.incarnation == Incarnation("n", 2)
    assert rig.registrar.kept_machines == []
    await rig.loop.end()
    await running


async def test_a_node_that_was_not_paused_keeps_its_sessions_under_the_same_machine_id(rig: Rig) -> None:
    await rig.loop.start()
    running = asyncio.ensure_future(rig.loop.run())
    first, second = rig.connect(1, "doc"), rig.connect(2, "doc", "pad")
    rig.registrar.may_begin.clear()
    rig.registrar.begun[0].over.set()
    await rig.until(lambda: rig.registrar.kept_machines)
    assert rig.loop.lease_state() is LeaseState.FENCED, "nothing is written meanwhile"
    rig.registrar.may_begin.set()
    await rig.until(lambda: len(rig.registrar.begun) == 2 and len(rig.registrar.begun[1].sessions) == 2)
    fresh = rig.registrar.begun[1]
    rig.barrier.opened("a router", 0)
    await rig.until(lambda: rig.loop.lease_state() is LeaseState.HELD)
    assert (set(fresh.sessions), set(fresh.files)) == ({1, 2}, {"doc", "pad"})
    for number, commit in enumerate((*fresh.sessions.values(), *fresh.files.values())):
        commit.set_result(number + 1)
    await settle()
    assert not fresh.restored, "the router's table does not have them yet"
    rig.barrier.acknowledged("a router", 4)
    await rig.until(lambda: fresh.restored)
    assert set(rig.index.sessions) == {1, 2}
    assert not {"request reconnect"} & {name for name, _ in (*first.notes, *second.notes)}
    assert rig.counters.incarnations_lost == 1
    await rig.loop.end()
    await running


async def test_a_node_can_stop_while_no_new_incarnation_begins(rig: Rig) -> None:
    await rig.loop.start()
    running = asyncio.ensure_future(rig.loop.run())
    rig.registrar.may_begin.clear()
    rig.registrar.begun[0].over.set()
    await rig.until(lambda: rig.registrar.kept_machines)
    await rig.loop.end()
    await running
    assert len(rig.registrar.begun) == 1


async def test_who_left_before_it_is_registered_anew_is_not(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop_module, "SLICE", 1)
    await rig.loop.start()
    running = asyncio.ensure_future(rig.loop.run())
    rig.connect(1)
    rig.connect(2)
    rig.registrar.begun[0].over.set()
    await rig.until(lambda: len(rig.registrar.begun) == 2 and rig.registrar.begun[1].sessions)
    rig.index.remove(rig.index.sessions[2])
    await settle()
    assert set(rig.registrar.begun[1].sessions) == {1}
    await rig.loop.end()
    await running


@pytest.mark.parametrize("refusal", [RegistryError("machine id 7 is held"), StoreUnavailable("away"), None])
async def test_without_a_new_incarnation_in_time_the_clients_are_closed(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, refusal: Exception | None
) -> None:
    monkeypatch.setattr(loop_module, "KEEP_LIMIT", 0.001)
    await rig.loop.start()
    running = asyncio.ensure_future(rig.loop.run())
    handler = rig.connect(1)
    rig.registrar.refusal = refusal
    rig.registrar.may_begin.clear()
    rig.registrar.begun[0].over.set()
    await rig.until(lambda: "request reconnect" in dict(handler.notes))
    assert not rig.index.sessions
    rig.registrar.may_begin.set()
    rig.barrier.opened("a router", 0)
    await rig.until(lambda: rig.loop.lease_state() is LeaseState.HELD)
    await rig.loop.end()
    await running


async def test_an_incarnation_that_ends_while_sessions_are_registered_anew_is_followed_by_another(rig: Rig) -> None:
    await rig.loop.start()
    running = asyncio.ensure_future(rig.loop.run())
    rig.connect(1)
    rig.registrar.begun[0].over.set()
    await rig.until(lambda: len(rig.registrar.begun) == 2)
    rig.barrier.opened("a router", 0)
    await rig.until(lambda: rig.loop.lease_state() is LeaseState.HELD)
    rig.registrar.begun[1].over.set()
    await rig.until(lambda: len(rig.registrar.begun) == 3 and rig.registrar.begun[2].sessions)
    assert not rig.registrar.begun[1].restored
    await rig.loop.end()
    await running


async def test_a_join_between_two_incarnations_waits_for_the_next_one(rig: Rig) -> None:
    await rig.loop.start()
    running = asyncio.ensure_future(rig.loop.run())
    await asyncio.wait_for(rig.loop.wait_replaced(), 1)  # nothing to wait for
    rig.registrar.may_begin.clear()
    rig.registrar.begun[0].over.set()
    rig.registrar.begun[0].lease.set_fenced()
    waiting = asyncio.ensure_future(rig.loop.wait_replaced())
    await rig.until(lambda: rig.registrar.kept_machines)
    await settle()
    assert not waiting.done()
    rig.registrar.may_begin.set()
    await rig.until(lambda: len(rig.registrar.begun) == 2)
    rig.barrier.opened("a router", 0)
    await waiting
    assert rig.loop.lease_state() is LeaseState.HELD
    await rig.loop.end()
    await running


async def test_drain_marks_the_current_incarnation(rig: Rig) -> None:
    await rig.loop.start()
    await rig.loop.drain()
    assert rig.registrar.begun[0].drained

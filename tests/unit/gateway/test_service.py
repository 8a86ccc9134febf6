"""What clients' arrivals, words and departures do, on a real registrar over the in-memory store."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest

from gateway.door.values import Arrival, Refusal
from gateway.events.port import Record
from gateway.identity.identity import Identity
from gateway.identity.ports import Unauthorized
from gateway.registration.barrier import RouteAckBarrier
from gateway.registration.registering import SessionRegistration
from gateway.service import ClientSettings, Gateway
from gateway.sessions.acks import Acks
from gateway.sessions.budget import Budget
from gateway.sessions.heartbeat import Heartbeat, HeartbeatSettings
from gateway.sessions.index import Index
from gateway.sessions.session import Session, UnauthenticatedClient
from gateway.wire.bare import Bare
from gateway.wire.envelope_json import JsonEnvelope
from observability import names
from observability.counters import counters
from registry.lapse import LeaseState
from registry.memory import MemoryStore
from registry.model import Node
from registry.ports import RegistrySettings
from registry.registrar import StoreRegistrar
from tests.support.wire import RecordingConnection, TurnedClock, connection_of, identity

ADDRESS = "203.0.113.1:5555"


class BoundedSink:
    """An `EventSink` that keeps what it takes."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.room = asyncio.Event()
        self.room.set()

    def publish(self, record: Record) -> bool:
        if self.room.is_set():
            self.records.append(record)
        return self.room.is_set()

    def publish_own(self, record: Record) -> None:
        self.records.append(record)

    def full(self) -> bool:
        return not self.room.is_set()

    async def wait_room(self) -> None:
        await self.room.wait()

    def kinds(self) -> list[str]:
        return [record.headers.get("X-Inner") or record.headers["X-Event"] for record in self.records]


class Rig:
    def __init__(self, registrar: StoreRegistrar) -> None:
        self.index = Index[Session]()
        self.counters = counters(names.GATEWAY)
        self.sink = BoundedSink()
        self.reach = RouteAckBarrier(limit=60)
        self.registering = SessionRegistration(self.index, self.reach, registrar, self.counters)
        heartbeat = Heartbeat(HeartbeatSettings(), self.counters, TurnedClock())
        settings = ClientSettings(ping_ms=25_000, max_bytes=65_536, max_files=3)
        self.gateway = Gateway(
            *("node-1", settings, Budget(unsent_bytes=10_000), self.verify),
            *(self.index, self.registering, self.sink, heartbeat, Acks(), self.counters),
        )
        self.gateway.open = True

    async def held(self) -> LeaseState:
        return LeaseState.HELD

    def verify(self, token: str, _now: float) -> Identity:
        if token.startswith("bad"):
            raise Unauthorized("not good")
        user, *files = token.split()
        return identity(user, *files)

    async def session(
        self, user: str = "ada", *grants: str, files: tuple[str, ...] = (), bare: bool = False
    ) -> Session:
        codec = Bare() if bare else JsonEnvelope()
        session = await self.gateway.enter(Arrival(codec, identity(user, *grants), files, ADDRESS))
        assert isinstance(session, Session)
        session.opened(RecordingConnection(session))
        return session

    async def settle(self) -> None:
        """Let every short task run to its end."""
        while self.gateway.tasks.running():
            await asyncio.sleep(0)


def said(session: Session) -> list[dict[str, object]]:
    """What the client has heard, decoded; each frame here is shorter than 126 bytes or says its length in two."""
    frames = connection_of(session).frames
    return [json.loads(frame[frame.index(b"{") :]) for frame in frames]


def say(session: Session, **message: object) -> None:
    session.message(True, json.dumps(message).encode())


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    def node(machine: int) -> Node:
        return Node("ws://a", "b", "c", machine, "test")

    registrar = StoreRegistrar(MemoryStore(), RegistrySettings(cluster="c"), "node-1", node)
    await registrar.begin()
    running = asyncio.ensure_future(registrar.run())
    made = Rig(registrar)
    yield made
    await made.gateway.close()
    await registrar.end()
    await running


async def test_hello_is_the_first_thing_a_client_hears(rig: Rig) -> None:
    session = await rig.session("ada", "doc", files=("doc",))
    assert said(session)[0] == {
        "type": "hello",
        "session": str(session.sid),
        "user": "ada",
        "node": "node-1",
        "files": ["doc"],
        "ping_ms": 25_000,
        "max_bytes": 65_536,
        "registered": True,
    }
    assert rig.sink.kinds() == ["connect", "join"]
    session.closed(1000, "bye")
    assert rig.sink.kinds()[-1] == "disconnect"
    assert rig.sink.records[-1].headers["X-Reason"] == "1000 bye"
    assert not rig.index.sessions
    await rig.gateway.wait_empty()


async def test_connected_waits_for_the_routers_tables(rig: Rig) -> None:
    rig.reach.opened("router", 0)
    entering = asyncio.ensure_future(rig.session())
    while not rig.reach.waiting():
        await asyncio.sleep(0)
    assert not entering.done()
    rig.reach.acknowledged("router", 10)
    assert (await entering).registered


async def test_nobody_enters_while_closed_lapsed_or_fenced(rig: Rig) -> None:
    arrival = Arrival(JsonEnvelope(), identity(), (), ADDRESS)
    rig.gateway.open = False
    refusal = await rig.gateway.enter(arrival)
    assert isinstance(refusal, Refusal)
    assert refusal.status == 503
    rig.gateway.open = True
    for lease_state, enters in (
        (LeaseState.LAPSED, False),
        (LeaseState.FENCED, False),
        (LeaseState.AWAY, True),
        (LeaseState.HELD, True),
    ):

        async def stand(lease_state: LeaseState = lease_state) -> LeaseState:
            return lease_state

        rig.gateway.wait_lease_state = stand
        assert isinstance(await rig.gateway.enter(arrival), Session) is enters


async def test_row_33_the_first_message_must_be_auth(rig: Rig) -> None:
    for first in ('{"type": "event", "event": "e", "data": 1}', '{"type": "auth", "token": "bad"}', "{", "[]"):
        newcomer = await rig.gateway.enter(Arrival(JsonEnvelope(), None, (), ADDRESS))
        assert isinstance(newcomer, UnauthenticatedClient)
        connection = RecordingConnection(newcomer)
        newcomer.opened(connection)
        newcomer.message(True, first.encode())
        assert connection.closing == (4401, "unauthorized")
        assert b'"unauthorized"' in connection.frames[0]
    assert not rig.index.sessions


async def test_auth_makes_a_session_of_a_newcomer(rig: Rig) -> None:
    newcomer = await rig.gateway.enter(Arrival(JsonEnvelope(), None, ("doc",), ADDRESS))
    assert isinstance(newcomer, UnauthenticatedClient)
    connection = RecordingConnection(newcomer)
    newcomer.opened(connection)
    newcomer.message(True, b'{"type": "auth", "token": "ada doc", "id": 4}')
    assert not connection.reading
    newcomer.message(True, b'{"type": "ping"}')  # not before it is a session
    await rig.settle()
    session = connection.peer
    assert isinstance(session, Session)
    assert [message["type"] for message in said(session)] == ["hello", "ok"]
    assert connection.reading
    assert session.files == ("doc",)


async def test_a_newcomer_that_asks_for_a_file_without_grant_is_turned_away(rig: Rig) -> None:
    newcomer = await rig.gateway.enter(Arrival(JsonEnvelope(), None, ("secret",), ADDRESS))
    connection = RecordingConnection(newcomer)  # type: ignore[arg-type]
    newcomer.opened(connection)  # type: ignore[union-attr]
    newcomer.message(True, b'{"type": "auth", "token": "ada doc"}')  # type: ignore[union-attr]
    assert connection.closing == (4401, "unauthorized")


async def test_a_newcomer_that_leaves_while_it_is_registered_leaves_nothing(rig: Rig) -> None:
    newcomer = await rig.gateway.enter(Arrival(JsonEnvelope(), None, (), ADDRESS))
    assert isinstance(newcomer, UnauthenticatedClient)
    newcomer.opened(RecordingConnection(newcomer))
    newcomer.message(True, b'{"type": "auth", "token": "ada"}')
    newcomer.closed(1006, "")
    await rig.settle()
    assert not rig.index.sessions
    assert rig.sink.records == []


async def test_a_late_auth_is_judged_like_an_arrival(rig: Rig) -> None:
    """Draining, fenced, or with a full bus: what is refused at the door is refused after it."""

    async def fenced() -> LeaseState:
        return LeaseState.FENCED

    def drain() -> None:
        rig.gateway.open = False

    def fence() -> None:
        rig.gateway.wait_lease_state = fenced

    for close in (rig.sink.room.clear, fence, drain):
        newcomer = await rig.gateway.enter(Arrival(JsonEnvelope(), None, (), ADDRESS))
        assert isinstance(newcomer, UnauthenticatedClient), close
        connection = RecordingConnection(newcomer)
        newcomer.opened(connection)
        close()
        newcomer.message(True, b'{"type": "auth", "token": "ada"}')
        await rig.settle()
        assert connection.closing == (1012, "draining")
        rig.sink.room.set()
        rig.gateway.wait_lease_state = rig.held
    assert not rig.index.sessions


async def test_who_was_registered_by_a_incarnation_that_is_over_does_not_enter(rig: Rig) -> None:
    rig.reach.opened("router", 0)
    entering = asyncio.ensure_future(rig.gateway.enter(Arrival(JsonEnvelope(), identity(), (), ADDRESS)))
    while not rig.reach.waiting():
        await asyncio.sleep(0)
    rig.registering.registrar = object()  # type: ignore[assignment]  # another incarnation has begun
    rig.registering.go = lambda session: rig.index.remove(session)  # type: ignore[assignment,method-assign]
    rig.reach.forget_all()
    assert isinstance(await entering, Refusal)
    assert not rig.index.sessions


async def test_at_a_drain_newcomers_are_sent_elsewhere(rig: Rig) -> None:
    newcomer = await rig.gateway.enter(Arrival(JsonEnvelope(), None, (), ADDRESS))
    assert isinstance(newcomer, UnauthenticatedClient)
    connection = RecordingConnection(newcomer)
    newcomer.opened(connection)
    rig.gateway.close_newcomers()
    assert connection.closing == (1012, "draining")


async def test_join_and_leave_wait_for_the_bus_too(rig: Rig) -> None:
    session = await rig.session("ada", "doc")
    before = len(rig.sink.records)
    rig.sink.room.clear()
    for number in range(100):
        say(session, type="join", file="doc", id=number)
        say(session, type="leave", file="doc", id=number)
    assert {message["code"] for message in said(session)[1:]} == {"busy"}
    assert len(rig.sink.records) == before
    assert session.paused
    rig.sink.room.set()
    await rig.settle()
    assert not session.paused


async def test_too_many_files_at_once_are_refused_at_the_door(rig: Rig) -> None:
    refusal = await rig.gateway.enter(Arrival(JsonEnvelope(), identity("ada", "*"), ("a", "b", "c", "d"), ADDRESS))
    assert isinstance(refusal, Refusal)
    assert (refusal.status, refusal.code) == (403, "forbidden")


async def test_join_and_leave_by_grant(rig: Rig) -> None:
    session = await rig.session("ada", "doc", "team-*")
    for id, file in enumerate(("doc", "team-7", "secret", "nobody has this one")):
        say(session, type="join", file=file, id=id)
        await rig.settle()
    heard = said(session)[1:]
    assert heard[:2] == [{"type": "ok", "id": 0}, {"type": "ok", "id": 1}]
    # Row 63: a file that is not granted and one that nobody has are refused in the same words.
    assert [{**message, "id": 0} for message in heard[2:]] == 2 * [
        {"type": "error", "code": "forbidden", "message": heard[2]["message"], "id": 0, "field": "file"}
    ]
    assert session.files == ("doc", "team-7")
    say(session, type="leave", file="doc", id=9)
    say(session, type="leave", file="doc", id=10)
    assert said(session)[-2:] == [{"type": "ok", "id": 9}, {"type": "ok", "id": 10}]
    assert rig.sink.kinds() == ["connect", "join", "join", "leave"]


async def test_a_session_may_join_so_many_files(rig: Rig) -> None:
    session = await rig.session("ada", "f*")
    for number in range(4):
        say(session, type="join", file=f"f{number}", id=number)
        await rig.settle()
    assert [message["type"] for message in said(session)[1:]] == ["ok", "ok", "ok", "error"]


async def test_events_go_up_with_all_that_a_consumer_needs(rig: Rig) -> None:
    session = await rig.session("ada", "doc", files=("doc",))
    say(session, type="event", event="edit", data={"a": [1, 2]}, file="doc", id=3)
    record = rig.sink.records[-1]
    assert record.key == "doc"
    assert record.value == b'{"a": [1, 2]}'
    assert record.headers == {
        "X-ID": str(session.sid),
        "X-Uid": "ada",
        "X-Guid": "doc",
        "X-Event": "message",
        "X-Auth-Type": "test",
        "X-Namespace": "/",
        "X-Seq": "3",
        "Content-Type": "application/json",
        "X-Name": "edit",
        "X-Ack": "3",
    }
    say(session, type="event", event="edit", data=1, file="other", id=4)
    assert said(session)[-1]["code"] == "forbidden"


async def test_a_bare_client_says_things_without_a_name(rig: Rig) -> None:
    session = await rig.session("ada", "doc", files=("doc",), bare=True)
    session.message(False, b"\x00\xff")
    record = rig.sink.records[-1]
    assert (record.value, record.key, record.headers["Content-Type"]) == (
        b"\x00\xff",
        "doc",
        "application/octet-stream",
    )
    assert "X-Name" not in record.headers
    assert connection_of(session).frames == []


async def test_a_full_bus_is_said_and_reading_pauses_until_there_is_room(rig: Rig) -> None:
    session = await rig.session()
    rig.sink.room.clear()
    say(session, type="event", event="e", data=1, id=1)
    assert said(session)[-1] == {
        "type": "error",
        "code": "busy",
        "message": "events cannot be taken now",
        "id": 1,
        "retry_ms": 1000,
    }
    assert not connection_of(session).reading
    rig.sink.room.set()
    await rig.settle()
    assert connection_of(session).reading


async def test_while_the_bus_is_full_nobody_new_comes(rig: Rig) -> None:
    rig.sink.room.clear()
    refusal = await rig.gateway.enter(Arrival(JsonEnvelope(), identity(), (), ADDRESS))
    assert isinstance(refusal, Refusal)
    assert (refusal.status, refusal.code) == (503, "busy")


async def test_a_burst_of_joins_is_held_to_the_limit_and_one_who_left_joins_nothing(rig: Rig) -> None:
    session = await rig.session("ada", "f*")
    for number in range(50):
        say(session, type="join", file=f"f{number}")
    assert len(session.files) == 3
    leaver = await rig.session("bob", "g")
    say(leaver, type="join", file="g")
    leaver.closed(1006, "")
    joining = rig.gateway.join(leaver, "late")
    await joining
    await rig.settle()
    assert set(rig.index.files()) == {"f0", "f1", "f2"}
    assert "late" not in {record.headers.get("X-Guid") for record in rig.sink.records}


async def test_rows_55_56_a_bad_message_names_its_field_and_ten_in_a_row_end_it(rig: Rig) -> None:
    session = await rig.session()
    for number in range(10):
        assert connection_of(session).closing is None
        say(session, type="event", event=number)
    assert {(message["code"], message["field"]) for message in said(session)[1:]} == {("bad_message", "event")}
    assert connection_of(session).closing == (4400, "bad messages")
    linger = await rig.session("bob")
    for _ in range(20):
        linger.message(True, b"{")
        say(linger, type="ping", id=1)
    assert connection_of(linger).closing is None


async def test_a_token_can_be_refreshed_by_its_own_user_only(rig: Rig) -> None:
    session = await rig.session("ada")
    say(session, type="auth", token="ada doc", id=5)
    assert said(session)[-1] == {"type": "ok", "id": 5}
    assert session.identity.files == ("doc",)
    say(session, type="auth", token="eve", id=6)
    assert said(session)[-1]["code"] == "unauthorized"
    assert connection_of(session).closing == (4401, "unauthorized")


async def test_a_client_that_asks_and_never_reads_is_closed(rig: Rig) -> None:
    session = await rig.session()
    connection_of(session).stuck = True
    for id in range(1000):
        say(session, type="ping", id=id)
    assert connection_of(session).closing == (4408, "slow")

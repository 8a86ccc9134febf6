"""What routers send to this node: epochs, the lease, pushes, requests, statistics."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from gateway.delivery import push_writer
from gateway.delivery.dedup import Dedup, DedupSettings
from gateway.delivery.node_requests import NodeRequestHandler
from gateway.delivery.push_writer import PushWriter
from gateway.delivery.router_endpoint import RouterEndpoint, WrongIncarnation
from gateway.delivery.router_stream import RouterStream
from gateway.delivery.router_streams import RouterStreams
from gateway.outcome import ACKED, DROPPED_SLOW, OFFLINE, QUEUED, WRITTEN
from gateway.registration.lease_gate import LeaseGate
from gateway.sessions.acks import Acks
from gateway.sessions.budget import Budget
from gateway.sessions.session import Session
from homing.internal.v1 import node_pb2
from observability.tracing import OFF
from registry.lease_state import FencingAnswer, LeaseState
from registry.model import Incarnation
from tests.support.gateway import GatewayRig, gateway_rig, received_by
from tests.support.wire import transport_of

OURS = Incarnation("node-1", 7)


class Local:
    """An incarnation whose lease a test sets."""

    def __init__(self) -> None:
        self.incarnation: Incarnation | None = OURS
        self.state = LeaseState.HELD
        self.answers: list[tuple[FencingAnswer, float]] = []

    def lease_state(self) -> LeaseState:
        return self.state

    def unregistered(self) -> bool:
        return False

    def on_fencing_answer(self, answer: FencingAnswer, queried: float) -> None:
        self.answers.append((answer, queried))


class Observer:
    """A `StreamObserver` that counts."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def stream_opened(self, stream: RouterStream) -> None:
        self.calls.append("opened")

    broadcasts = False

    def stream_closed(self, stream: RouterStream) -> None:
        self.calls.append("closed")

    def resume(self) -> None:
        self.calls.append("resume")


class Rig:
    """A router endpoint over the client side of a gateway."""

    def __init__(self, clients: GatewayRig) -> None:
        self.clients = clients
        self.local = Local()
        self.now = 100.0
        self.streams = RouterStreams(clients.counters, lambda: self.now)
        self.lease = LeaseGate(self.local, self.streams)
        self.acks = Acks()
        self.observer = Observer()
        dedup = Dedup(DedupSettings(), clients.counters)
        self.writer = PushWriter(
            *("node-1", clients.index, self.acks, dedup, clients.slow, clients.deadlines, clients.counters, OFF)
        )
        self.endpoint = RouterEndpoint(
            *(self.streams, self.lease, clients.barrier, self.writer),
            NodeRequestHandler(clients.index, clients.membership, self.writer, clients.slow),
            lambda: node_pb2.Stats(sessions=len(clients.index.sessions)),
            *(clients.deadlines, clients.tasks, clients.counters, self.observer),
        )

    def open(self, epoch: int = 7, router: str = "r") -> RouterStream:
        hello = node_pb2.RouterHello(router=router, node="node-1", epoch=epoch)
        first = node_pb2.RouterMessage(hello=hello, table_batch=10_000)
        return self.endpoint.open(first, lambda linger=False: None, lambda: None)

    def send(self, stream: RouterStream, **fields: object) -> node_pb2.NodeMessage:
        """One message of the router; what then gathers for it."""
        self.endpoint.on_message(stream, node_pb2.RouterMessage(**fields))  # type: ignore[arg-type]
        return stream.take()

    async def request(self, stream: RouterStream, **what: object) -> node_pb2.NodeResponse:
        """One request, and its response."""
        request = node_pb2.NodeRequest(call=1, epoch=7, **what)  # type: ignore[arg-type]
        self.endpoint.on_message(stream, node_pb2.RouterMessage(requests=[request]))
        await self.clients.settle()
        (response,) = stream.take().responses
        return response


@pytest.fixture
async def rig(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Rig]:
    monkeypatch.setattr(push_writer, "SLICE_BUDGET", 60.0)  # written at once, however busy the machine is
    async with gateway_rig() as clients:
        yield Rig(clients)


def push_to(user: str, call: int = 1, epoch: int = 7, **fields: object) -> node_pb2.Push:
    given = {"event": "e", "data": b"1", "push_id": "p", "ttl_ms": 30_000, "max_deliveries": 10} | fields
    receivers = node_pb2.Receivers(user=user)
    return node_pb2.Push(call=call, epoch=epoch, receivers=receivers, **given)  # type: ignore[arg-type]


async def test_hello_names_this_node_and_another_incarnation_is_refused(rig: Rig) -> None:
    first = rig.open().take()
    assert (first.hello.node, first.hello.epoch, first.HasField("unregistered")) == ("node-1", 7, True)
    with pytest.raises(WrongIncarnation, match="node-1"):
        rig.open(epoch=6)
    rig.local.incarnation = None
    with pytest.raises(WrongIncarnation, match="about to begin"):
        rig.open()


async def test_a_push_is_written_and_answered(rig: Rig) -> None:
    session = await rig.clients.session("ada")
    (answer,) = rig.send(rig.open(), pushes=[push_to("ada")]).pushes
    assert (answer.call, answer.verdict) == (1, node_pb2.DONE)
    assert [(count.outcome, count.sessions) for count in answer.counts] == [(WRITTEN, 1)]
    assert received_by(session)[-1] == {"type": "event", "event": "e", "data": 1, "push": "p"}


async def test_a_push_to_nobody_here_is_not_mine_and_only_everyone_is_not_counted(rig: Rig) -> None:
    everyone = push_to("", call=2)
    everyone.receivers.everyone = True
    answers = rig.send(rig.open(), pushes=[push_to("eve"), everyone]).pushes
    assert [(answer.call, answer.verdict) for answer in answers] == [(1, node_pb2.NOT_MINE), (2, node_pb2.NOT_MINE)]
    assert rig.clients.counters.not_mine == 1


@pytest.mark.parametrize("namespace", ["", "/", "*", "/admin"])
async def test_only_the_namespace_of_plain_sessions_has_receivers(rig: Rig, namespace: str) -> None:
    await rig.clients.session("ada")
    found = rig.writer.receivers(node_pb2.Receivers(user="ada", namespace=namespace))
    assert len(found) == (namespace != "/admin")
    assert rig.writer.receivers(node_pb2.Receivers()) == ()


async def test_an_old_epoch_and_a_fenced_node_write_nothing(rig: Rig) -> None:
    session = await rig.clients.session("ada")
    stream = rig.open()
    (old,) = rig.send(stream, pushes=[push_to("ada", epoch=6)]).pushes
    rig.local.state = LeaseState.FENCED
    message = rig.send(stream, pushes=[push_to("ada")], requests=[node_pb2.NodeRequest(call=2, epoch=7)])
    assert [old.verdict, message.pushes[0].verdict, message.responses[0].verdict] == [node_pb2.OLD_EPOCH] * 3
    assert [message["type"] for message in received_by(session)] == ["hello"]
    assert rig.clients.counters.old_epoch == 3


async def test_while_the_lease_may_be_over_pushes_are_held_and_the_router_is_asked_once(rig: Rig) -> None:
    await rig.clients.session("ada")
    stream = rig.open()
    rig.local.state = LeaseState.LAPSED
    first = rig.send(stream, pushes=[push_to("ada")])
    second = rig.send(stream, pushes=[push_to("ada", call=2)])
    assert [query.query for query in first.fencing_queries] == [1]
    assert (list(second.fencing_queries), list(second.pushes)) == ([], [])
    rig.local.state = LeaseState.HELD
    answered = rig.send(stream, fencing=[node_pb2.Fencing(query=1, state=node_pb2.Fencing.ALIVE)])
    assert rig.local.answers == [(FencingAnswer.ALIVE, 100.0)]
    assert [answer.call for answer in answered.pushes] == [1, 2]
    rig.send(stream, fencing=[node_pb2.Fencing(query=9, state=node_pb2.Fencing.FENCED)])  # of no open query
    assert len(rig.local.answers) == 1


async def test_waiting_for_the_lease_ends_with_a_routers_answer(rig: Rig) -> None:
    rig.local.state = LeaseState.LAPSED
    assert await rig.lease.wait_lease_state() is LeaseState.LAPSED, "no router: nobody can be asked"
    stream = rig.open()
    waiting = asyncio.ensure_future(rig.lease.wait_lease_state())
    while not (queries := stream.take().fencing_queries):
        await asyncio.sleep(0)
    rig.local.state = LeaseState.AWAY
    rig.send(stream, fencing=[node_pb2.Fencing(query=queries[0].query, state=node_pb2.Fencing.AWAY)])
    assert await waiting is LeaseState.AWAY


async def test_the_observer_follows_the_streams(rig: Rig) -> None:
    stream = rig.open()
    rig.send(stream, ping=5)
    rig.endpoint.close(stream)
    assert rig.observer.calls == ["opened", "resume", "closed"]
    assert list(rig.streams) == []


async def test_all_routers_are_told_about_unregistered_sessions(rig: Rig) -> None:
    one, two = rig.open(router="a"), rig.open(router="b")
    one.take(), two.take()
    rig.streams.notify_unregistered(True)
    assert one.take().unregistered.any
    assert two.take().unregistered.any


async def test_statistics_are_sent_each_second_to_who_asked(rig: Rig) -> None:
    stream = rig.open()
    stream.take()
    assert rig.send(stream, send_stats=True).HasField("stats")
    rig.clients.clock.pass_seconds(1.2)
    assert stream.take().HasField("stats")
    rig.send(stream, send_stats=False)
    rig.clients.clock.pass_seconds(3)
    assert not stream.take().HasField("stats")


async def test_an_ack_completes_the_answer_and_without_one_it_is_finalized(rig: Rig) -> None:
    session = await rig.clients.session("ada")
    stream = rig.open()
    stream.take()
    pushes = [push_to("ada", call=1, ack_timeout_ms=60_000), push_to("ada", call=2, ack_timeout_ms=60_000)]
    assert not rig.send(stream, pushes=pushes).pushes
    first = received_by(session)[-2]["ack"]
    rig.acks.acked(session, int(str(first)), b"7", "")
    (answer,) = stream.take().pushes
    assert (answer.call, answer.counts[0].outcome, answer.deliveries[0].ack_data) == (1, ACKED, b"7")
    rig.clients.clock.pass_seconds(61)
    (answer,) = stream.take().pushes
    assert (answer.call, answer.counts[0].outcome) == (2, WRITTEN)
    assert len(rig.acks) == 0


async def test_what_the_kernel_has_not_taken_is_queued_when_the_report_is_due(rig: Rig) -> None:
    session = await rig.clients.session("ada")
    transport_of(session).stuck = True
    stream = rig.open()
    stream.take()
    assert not rig.send(stream, pushes=[push_to("ada")]).pushes
    rig.clients.clock.pass_seconds(1.2)
    (answer,) = stream.take().pushes
    assert answer.counts[0].outcome == QUEUED


async def test_a_receiver_over_its_budget_is_closed(rig: Rig) -> None:
    session = await rig.clients.session("ada")
    transport_of(session).stuck = True
    stream = rig.open()
    rig.send(stream, pushes=[push_to("ada", call=call, data=b'"' + b"x" * 9_000 + b'"') for call in (1, 2)])
    assert transport_of(session).closing == (4408, "slow")
    assert (rig.clients.counters.dropped_slow, rig.clients.counters.slow_closed) == (1, 1)


async def test_with_the_policy_drop_a_receiver_over_its_budget_stays_while_it_makes_progress(rig: Rig) -> None:
    budget = Budget(unsent_bytes=10_000, policy="drop")
    rig.clients.slow._budget = budget
    session = await rig.clients.session("ada")
    transport = transport_of(session)
    transport.stuck = True
    stream = rig.open()
    stream.take()
    data = b'"' + b"x" * 9_000 + b'"'
    answers = rig.send(stream, pushes=[push_to("ada", call=call, data=data) for call in (1, 2, 3)]).pushes
    assert [(answer.call, answer.counts[0].outcome) for answer in answers] == [(2, DROPPED_SLOW), (3, DROPPED_SLOW)]
    for _ in range(5):
        transport.acked += 1
        rig.clients.clock.pass_seconds(9)
    assert transport.closing is None
    transport.drain()
    (answer,) = rig.send(stream, pushes=[push_to("ada", call=4)]).pushes[-1:]
    assert (answer.call, answer.counts[0].outcome) == (4, WRITTEN)
    transport.stuck = True
    rig.send(stream, pushes=[push_to("ada", call=5)])
    rig.clients.clock.pass_seconds(11)  # without any progress it may be half-open
    assert transport.closing == (4408, "slow")
    assert (rig.clients.counters.dropped_slow, rig.clients.counters.slow_closed) == (2, 1)


async def test_with_the_policy_drop_an_answer_that_does_not_fit_closes(rig: Rig) -> None:
    rig.clients.slow._budget = Budget(unsent_bytes=10_000, policy="drop")
    session = await rig.clients.session("ada")
    transport_of(session).stuck = True
    reply = node_pb2.Reply(session=session.sid, ack=1, data=b'"' + b"x" * 9_000 + b'"')
    stream = rig.open()
    stream.take()
    outcomes = [(await rig.request(stream, reply=reply)).outcome for _ in range(2)]
    assert outcomes == [QUEUED, DROPPED_SLOW]
    assert transport_of(session).closing == (4408, "slow")


async def test_join_leave_and_presence_by_request(rig: Rig) -> None:
    session = await rig.clients.session("ada")
    receivers = node_pb2.Receivers(user="ada")
    stream = rig.open()
    stream.take()
    joined = await rig.request(stream, membership=node_pb2.Membership(receivers=receivers, file="doc"))
    assert (joined.verdict, joined.sessions, session.files) == (node_pb2.DONE, 1, ("doc",))
    present = await rig.request(stream, presence=node_pb2.FilePresence(file="doc", limit=5))
    assert [(one.session, one.user) for one in present.present] == [(session.sid, "ada")]
    leave = node_pb2.Membership(receivers=receivers, file="doc", leave=True)
    assert (await rig.request(stream, membership=leave)).sessions == 1
    nobody = await rig.request(stream, presence=node_pb2.FilePresence(file="doc", limit=5))
    assert nobody.verdict == node_pb2.NOT_MINE


@pytest.mark.parametrize("file", ["", "x" * 257])
async def test_a_file_s_name_of_a_wrong_size_is_not_joined(rig: Rig, file: str) -> None:
    session = await rig.clients.session("ada")
    stream = rig.open()
    stream.take()
    change = node_pb2.Membership(receivers=node_pb2.Receivers(user="ada"), file=file)
    assert (await rig.request(stream, membership=change)).verdict == node_pb2.NOT_MINE
    assert session.files == ()


async def test_reply_and_disconnect_by_request(rig: Rig) -> None:
    session = await rig.clients.session("ada")
    stream = rig.open()
    stream.take()
    reply = node_pb2.Reply(session=session.sid, ack=3, data=b"true")
    response = await rig.request(stream, reply=reply)
    assert (response.outcome, received_by(session)[-1]) == (WRITTEN, {"type": "reply", "id": 3, "data": True})
    reply.error_code, reply.retry_ms = "busy", 5
    await rig.request(stream, reply=reply)
    assert received_by(session)[-1]["code"] == "busy"
    assert (await rig.request(stream, reply=node_pb2.Reply(session=1))).outcome == OFFLINE
    receivers = node_pb2.Receivers(user="ada")
    await rig.request(stream, disconnect=node_pb2.Disconnect(receivers=receivers, reason="ä" * 100))
    code, reason = transport_of(session).closing or (0, "")
    assert (code, len(reason.encode()) <= 123) == (4403, True)


async def test_a_request_that_fails_is_answered_without_a_verdict(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    session: Session = await rig.clients.session("ada")
    session.connection = object()  # type: ignore[assignment]
    stream = rig.open()
    stream.take()
    disconnect = node_pb2.Disconnect(receivers=node_pb2.Receivers(user="ada"))
    response = await rig.request(stream, disconnect=disconnect)
    assert response.verdict == node_pb2.VERDICT_UNSPECIFIED
    assert len(caplog.records) == 1

"""Who is meant by a push, that a long fan-out gives way to everything else, and what a fault of ours leaves."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from gateway.delivery import push_writer
from gateway.delivery.dedup import Dedup, DedupSettings
from gateway.delivery.push_writer import PushWriter
from gateway.outcome import DROPPED_SLOW, DUPLICATE, QUEUED, UNREACHABLE, WRITTEN
from gateway.sessions.acks import Acks
from gateway.sessions.session import HELD_BYTES
from gateway.sessions.stage import Stage
from homing.internal.v1 import node_pb2
from observability import spans
from observability.spans import Span
from observability.tracing import Tracer
from tests.support.gateway import GatewayRig, gateway_rig, received_by
from tests.support.wire import RecordingHandler, make_session, open_connection, transport_of

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
NOT_SAMPLED = TRACE[:-2] + "00"


class Rig:
    """A push writer over the client side of a gateway; its answers and spans are kept."""

    def __init__(self, clients: GatewayRig) -> None:
        self.clients = clients
        self.recorded: list[Span] = []
        self.answers: list[node_pb2.PushAnswer] = []
        tracer = Tracer(self.recorded.append, 1.0, seed=1)
        self.dedup = Dedup(DedupSettings(), clients.counters)
        self.writer = PushWriter(
            "node-1", clients.index, Acks(), self.dedup, clients.slow, clients.deadlines, clients.counters, tracer
        )

    def push(self, call: int, receivers: node_pb2.Receivers, **fields: object) -> None:
        """Add one push, as both ways in do."""
        given = {"event": "e", "data": b"1", "push_id": "p", "ttl_ms": 30_000, "max_deliveries": 10} | fields
        push = node_pb2.Push(call=call, epoch=7, receivers=receivers, **given)  # type: ignore[arg-type]
        trace = self.writer.trace("router-1", push)
        self.writer.add(push, self.writer.receivers(receivers), 0, self.answers.append, trace)

    def outcomes(self) -> list[dict[int, int]]:
        return [{count.outcome: count.sessions for count in answer.counts} for answer in self.answers]


@pytest.fixture
async def rig(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Rig]:
    monkeypatch.setattr(push_writer, "SLICE_BUDGET", 60.0)  # written at once, however busy the machine is
    async with gateway_rig() as clients:
        yield Rig(clients)


def to_file(file: str) -> node_pb2.Receivers:
    return node_pb2.Receivers(file=file)


async def test_sessions_are_meant_whatever_their_namespace_and_those_elsewhere_are_not(rig: Rig) -> None:
    ada = await rig.clients.session("ada")
    sids = node_pb2.SessionList(sids=[ada.sid, 1])
    assert rig.writer.receivers(node_pb2.Receivers(sessions=sids, namespace="/admin")) == [ada]


async def test_a_file_means_who_has_joined_it(rig: Rig) -> None:
    ada = await rig.clients.session("ada", "*", files=("doc",))
    await rig.clients.session("bob")
    assert list(rig.writer.receivers(to_file("doc"))) == [ada]
    assert list(rig.writer.receivers(to_file("other"))) == []


async def test_a_traced_push_leaves_a_span_and_its_clients_see_it(rig: Rig) -> None:
    ada = await rig.clients.session("ada")
    rig.push(1, node_pb2.Receivers(user="ada"), traceparent=TRACE)
    rig.push(2, node_pb2.Receivers(user="ada"), traceparent=NOT_SAMPLED)
    rig.push(3, node_pb2.Receivers(user="ada"))
    rig.writer.write()
    (span,) = rig.recorded
    assert (span.name, span.attributes[spans.NODE], span.attributes[spans.ROUTER]) == (
        spans.DELIVER,
        "node-1",
        "router-1",
    )
    first, second, third = received_by(ada)[1:]
    assert first["traceparent"] == span.context.traceparent
    assert (second.get("traceparent"), third.get("traceparent")) == (NOT_SAMPLED, None)


async def test_a_long_fan_out_gives_way_after_its_time_and_goes_on_in_the_next_turn(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada = await rig.clients.session("ada")
    monkeypatch.setattr(push_writer, "SLICE_BUDGET", -1.0)  # used up by the first slice
    for call in (1, 2, 3):
        rig.push(call, node_pb2.Receivers(user="ada"))
    rig.writer.write()
    rig.writer.write()  # goes on already
    assert len(rig.answers) == 1
    while len(rig.answers) < 3:
        await asyncio.sleep(0)
    assert [answer.call for answer in rig.answers] == [1, 2, 3]
    assert len(transport_of(ada).frames) == 1 + 3


async def test_a_fault_in_one_push_is_logged_and_holds_up_no_other(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    ada, bob = await rig.clients.session("ada", "*", files=("doc",)), await rig.clients.session("bob")
    ada.connection = object()  # type: ignore[assignment]
    rig.push(1, to_file("doc"))
    rig.push(2, node_pb2.Receivers(user="bob"))
    rig.writer.write()
    assert rig.outcomes() == [{UNREACHABLE: 1}, {WRITTEN: 1}]
    assert [record.message for record in caplog.records] == ["a push could not be written"]
    assert received_by(bob)[-1]["push"] == "p"


async def test_a_session_without_a_connection_holds_a_bound_of_pushes_and_is_not_closed_over_it(rig: Rig) -> None:
    eve = make_session(5, "eve")
    rig.clients.index.add(eve)
    half = b'"' + b"x" * (HELD_BYTES // 2) + b'"'
    for call in (1, 2, 3):
        rig.push(call, node_pb2.Receivers(user="eve"), data=half)
    rig.writer.write()
    assert rig.outcomes() == [{DROPPED_SLOW: 1}, {DROPPED_SLOW: 1}]
    assert eve.stage is Stage.REGISTERING
    eve.attach(open_connection(RecordingHandler(), eve))
    assert rig.outcomes()[2:] == [{WRITTEN: 1}]


async def test_a_repeat_is_a_duplicate_and_forgotten_in_time(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    await rig.clients.session("ada", "*", files=("doc",))
    for call in (1, 2):
        rig.push(call, to_file("doc"), dedup=True)
        rig.writer.write()
    assert rig.outcomes() == [{WRITTEN: 1}, {DUPLICATE: 1}]
    rig.clients.clock.pass_seconds(push_writer.FORGET_EVERY + 1)
    assert len(rig.dedup) == 1, "its time is not over"
    monkeypatch.setattr(rig.dedup, "_window_ns", 0)
    rig.clients.clock.pass_seconds(push_writer.FORGET_EVERY + 1)
    assert (len(rig.dedup), rig.dedup.bytes) == (0, 0)


async def test_what_waits_is_reported_when_the_node_stops(rig: Rig) -> None:
    ada = await rig.clients.session("ada", "*", files=("doc",))
    rig.push(1, to_file("doc"), ack_timeout_ms=60_000)
    rig.writer.write()
    transport_of(ada).stuck = True
    rig.push(2, to_file("doc"))
    rig.writer.write()
    assert rig.answers == []
    rig.writer.finalize_all()
    assert sorted(rig.outcomes(), key=str) == [{WRITTEN: 1}, {QUEUED: 1}]
    rig.clients.clock.pass_seconds(61)  # they were due now
    assert len(rig.answers) == 2

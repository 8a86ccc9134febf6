"""Pushes off the bus: handled in order, answered on the router's stream, held while the lease may be over; no harm."""

import asyncio
import pickle
from collections.abc import Callable, Collection

import pytest

from gateway.delivery import bus_endpoint as bus_endpoint_module
from gateway.delivery.bus_endpoint import BusEndpoint
from gateway.delivery.router_stream import RouterStream
from homing.internal.v1 import node_pb2
from observability import names
from observability.counters import counters
from registry.lease_state import LeaseState
from registry.model import Incarnation
from runtime.bus.memory import MemoryBus
from runtime.bus.port import MAX_MESSAGE_SIZE

OURS = Incarnation("node", 7)
Answer = Callable[[node_pb2.PushAnswer], None]


class Writer:
    """A push writer whose sessions are names; what is added is answered when the test says so."""

    def __init__(self, here: Collection[str]) -> None:
        self.here = here
        self.added: list[tuple[node_pb2.Push, int, Answer]] = []

    def receivers(self, receivers: node_pb2.Receivers) -> list[str]:
        if receivers.WhichOneof("to") == "everyone":
            return list(self.here)
        return [name for name in self.here if name == receivers.user]

    def add(self, push: node_pb2.Push, receivers: list[str], age_ns: int, answer: Answer, trace: object) -> None:
        self.added.append((push, age_ns, answer))

    def write(self) -> None:
        """Nothing is written by itself."""

    def answer_all(self) -> None:
        for push, _, answer in self.added:
            answer(node_pb2.PushAnswer(call=push.call, verdict=node_pb2.DONE))


class Lease:
    """A lease gate whose state a test sets."""

    def __init__(self) -> None:
        self.incarnation: Incarnation | None = OURS
        self.state = LeaseState.HELD
        self.queries = 0

    def lease_state(self) -> LeaseState:
        return self.state

    def query_routers(self) -> None:
        self.queries += 1


class Rig:
    def __init__(self, *here: str) -> None:
        self.lease = Lease()
        self.writer = Writer(here)
        self.counters = counters(names.GATEWAY)
        self.bus = BusEndpoint(MemoryBus().subscriber(), self.lease, self.writer, self.counters)  # type: ignore[arg-type]
        self.write_requested = asyncio.Event()
        self.stream = self.open_stream()

    def open_stream(self) -> RouterStream:
        stream = RouterStream("r", OURS, lambda linger=False: self.write_requested.set(), lambda: None)
        stream.transit.seen(0, 0)
        self.bus.stream_opened(stream)
        return stream

    def handled(self) -> node_pb2.Handled:
        """What leaves on the router's stream next."""
        return self.stream.take().handled


@pytest.fixture
async def rig() -> Rig:
    return Rig("ada")


def published(first: int, *users: str, router: str = "r") -> bytes:
    message = node_pb2.Broadcast(router=router, sent_ns=500)
    for number, user in enumerate(users):
        push = message.pushes.add(call=first + number, received_ns=200)
        push.receivers.user = user
    return message.SerializeToString()


def spans(handled: node_pb2.Handled) -> list[tuple[int, int]]:
    return [(span.first, span.last) for span in handled.spans]


async def test_a_stream_reports_its_beginning_and_then_what_was_handled(rig: Rig) -> None:
    assert rig.handled().begins
    rig.bus.on_message(published(1, "bob", "eve"))
    rig.bus.on_message(published(3, "bob"))
    handled = rig.handled()
    assert (handled.begins, spans(handled), list(handled.taken), len(handled.answers)) == (False, [(1, 3)], [], 0)
    assert (rig.counters.pushes_received, rig.counters.not_mine, rig.counters.bus_messages) == (3, 3, 2)


async def test_a_push_with_receivers_is_taken_first_and_answered_later(rig: Rig) -> None:
    rig.bus.on_message(published(1, "bob", "ada"))
    handled = rig.handled()
    assert (spans(handled), list(handled.taken)) == ([(1, 2)], [2])
    rig.writer.answer_all()
    handled = rig.handled()
    assert ([answer.call for answer in handled.answers], list(handled.taken)) == ([2], [])


async def test_what_is_answered_at_once_is_not_reported_as_taken(rig: Rig) -> None:
    rig.bus.on_message(published(1, "ada"))
    rig.writer.answer_all()
    handled = rig.handled()
    assert (len(handled.answers), list(handled.taken), spans(handled)) == (1, [], [(1, 1)])


async def test_the_router_learns_in_time_what_was_handled(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bus_endpoint_module, "REPORT_WITHIN", 0.0)
    rig.handled()
    rig.write_requested.clear()
    rig.bus.on_message(published(1, "bob"))
    async with asyncio.timeout(1):
        await rig.write_requested.wait()
    assert spans(rig.handled()) == [(1, 1)]


async def test_everyone_where_nobody_is_has_no_answer_and_is_no_stale_route() -> None:
    rig = Rig()
    message = node_pb2.Broadcast(router="r")
    message.pushes.add(call=1).receivers.everyone = True
    rig.bus.on_message(message.SerializeToString())
    handled = rig.handled()
    assert (list(handled.answers), spans(handled), rig.counters.not_mine) == ([], [(1, 1)], 0)


async def test_what_the_bus_lost_shows_as_a_gap(rig: Rig) -> None:
    rig.bus.on_message(published(1, "bob"))
    rig.bus.on_message(published(5, "bob"))
    assert spans(rig.handled()) == [(1, 1), (5, 5)]
    assert rig.counters.bus_missed == 3


async def test_while_the_lease_may_be_over_everything_is_held_in_order(rig: Rig) -> None:
    rig.lease.state = LeaseState.LAPSED
    rig.bus.on_message(published(1, "ada"))
    rig.bus.on_message(published(2, "ada"))
    assert (rig.writer.added, rig.lease.queries, spans(rig.handled())) == ([], 2, [])
    rig.lease.state = LeaseState.HELD
    rig.bus.resume()
    assert [push.call for push, _, _ in rig.writer.added] == [1, 2]
    assert spans(rig.handled()) == [(1, 2)]


async def test_what_is_held_has_a_bound(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bus_endpoint_module, "HELD_BYTES", len(published(1, "ada")))
    rig.lease.state = LeaseState.LAPSED
    rig.bus.on_message(published(1, "ada"))
    rig.bus.on_message(published(2, "ada"))
    assert rig.counters.bus_dropped == 1
    rig.lease.state = LeaseState.HELD
    rig.bus.resume()
    rig.bus.on_message(published(3, "ada"))
    assert spans(rig.handled()) == [(1, 1), (3, 3)]  # so the router learns of it too


async def test_an_incarnation_that_is_over_writes_nothing(rig: Rig) -> None:
    rig.lease.state = LeaseState.FENCED
    rig.bus.on_message(published(1, "ada"))
    assert (rig.writer.added, rig.counters.old_epoch) == ([], 1)


async def test_without_the_routers_stream_receivers_still_get_it(rig: Rig) -> None:
    rig.bus.stream_closed(rig.stream)
    rig.bus.on_message(published(1, "ada"))
    (push, age_ns, answer), *_ = rig.writer.added
    assert (push.call, age_ns) == (1, 300)  # what it waited in the router is all that is known of its age
    answer(node_pb2.PushAnswer(call=1))
    assert spans(rig.handled()) == []


async def test_an_old_stream_that_ends_late_does_not_take_the_new_one_with_it(rig: Rig) -> None:
    fresh = rig.open_stream()
    rig.bus.stream_closed(rig.stream)
    rig.bus.on_message(published(1, "bob"))
    assert spans(fresh.take().handled) == [(1, 1)]


def skipping() -> bytes:
    message = node_pb2.Broadcast.FromString(published(1, "ada", "ada"))
    message.pushes[1].call = 5
    return message.SerializeToString()


def with_an_epoch() -> bytes:
    message = node_pb2.Broadcast.FromString(published(1, "ada"))
    message.pushes[0].epoch = 7
    return message.SerializeToString()


@pytest.mark.parametrize(
    "poison",
    [
        pytest.param(pickle.dumps({"method": "emit", "event": "x"}), id="pickle"),
        pytest.param(b'{"json": true}', id="json"),
        pytest.param(b"", id="empty"),
        pytest.param(b"\xff" * 100, id="noise"),
        pytest.param(node_pb2.RouterMessage(ping=7, sent_ns=3).SerializeToString(), id="another schema"),
        pytest.param(published(1, "ada", router=""), id="of nobody"),
        pytest.param(published(0, "ada"), id="without a number"),
        pytest.param(skipping(), id="numbers with a hole"),
        pytest.param(with_an_epoch(), id="an epoch"),
        pytest.param(published(1, "ada" + "x" * MAX_MESSAGE_SIZE), id="oversized"),
    ],
)
async def test_a_poisoned_message_is_dropped_and_counted_and_the_next_one_is_handled(rig: Rig, poison: bytes) -> None:
    rig.bus.on_message(poison)
    assert (rig.counters.bus_dropped, rig.writer.added) == (1, [])
    rig.bus.on_message(published(1, "ada"))
    assert len(rig.writer.added) == 1

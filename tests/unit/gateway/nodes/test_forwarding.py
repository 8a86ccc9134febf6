"""What travels between the old owner of a client and the new one."""

from typing import Any

from gateway.close_codes import DRAINING, FORBIDDEN
from gateway.door.values import Arrival
from gateway.nodes.forwarding import MAX_BYTES, UNSENT, ForwardingConnection
from gateway.nodes.recent import RecentPushes
from gateway.nodes.taken import pack_arrival, unpack_arrival
from gateway.outcome import ABSENT, DROPPED_SLOW, OFFLINE, UNREACHABLE, WRITTEN
from gateway.sessions.session import Session
from gateway.wire.bare import Bare
from gateway.wire.values import NO_MESSAGES
from homing.internal.v1 import node_pb2
from tests.support.wire import identity

ALIVE = Session(5, identity("ada"), Bare(), 0)


class Sink:
    """A push that waits for outcomes."""

    push_id = "p"
    repeat_key: tuple[str, str] | None = None

    def __init__(self) -> None:
        self.outcomes: list[int] = []

    def settle(self, session: Session, outcome: int) -> None:
        self.outcomes.append(outcome)


def test_pushes_are_forwarded_and_settled() -> None:
    sent: list[node_pb2.Forwarded] = []
    waiting, first, second, third = Sink(), Sink(), Sink(), Sink()
    forwarding = ForwardingConnection(sent.append, [(ALIVE, waiting)])
    assert forwarding.write(b"x" * MAX_BYTES, ALIVE, first) == 0
    assert forwarding.write(b"y", ALIVE, second) == DROPPED_SLOW
    forwarding.on_outcome(sent[0].number, WRITTEN)
    forwarding.on_outcome(sent[0].number, WRITTEN)
    third.repeat_key = "billing", "p"
    assert forwarding.write(b"z", ALIVE, third) == 0
    assert [(one.dedup, one.caller) for one in sent] == [(False, ""), (True, "billing")]
    assert forwarding.unsent() == 1
    forwarding.on_outcome(UNSENT, ABSENT)
    forwarding.lose()
    assert (waiting.outcomes, first.outcomes, third.outcomes) == ([ABSENT], [WRITTEN], [UNREACHABLE])
    assert forwarding.send(NO_MESSAGES)
    assert forwarding.send(Bare().push(_pushed()))
    forwarding.close(DRAINING)
    forwarding.disconnect(ALIVE, FORBIDDEN, "removed")
    forwarding.request_reconnect(close=True)
    assert [(one.session, one.close_code, one.close_reason) for one in sent[3:]] == [
        (0, 1012, "draining"),
        (5, 4403, "removed"),
    ]


def _pushed() -> Any:
    from gateway.wire.values import PushedMessage

    return PushedMessage("e", b"1", "", "p", "")


class Connection:
    """Takes everything."""

    framing = None
    seen_at = 3.0

    def __init__(self) -> None:
        self.calls: list[str] = []

    def write(self, frame: bytes, session: Session, sink: object) -> int:
        return WRITTEN

    def send(self, messages: object) -> bool:
        return True

    def unsent(self) -> int:
        return 7

    def close(self, why: object, reason: str = "") -> None:
        self.calls.append("close")

    def disconnect(self, session: Session, why: object, reason: str) -> None:
        self.calls.append("disconnect")

    def request_reconnect(self, *, close: bool) -> None:
        self.calls.append("request_reconnect")


def test_a_push_that_comes_on_both_ways_is_written_once() -> None:
    recent, connection = RecentPushes(), Connection()
    guarded = recent.guard(connection)  # type: ignore[arg-type]
    assert guarded.write(b"", ALIVE, Sink()) == WRITTEN
    assert recent.outcome_for_owner(WRITTEN) == WRITTEN
    assert guarded.write(b"", ALIVE, Sink()) == OFFLINE
    assert recent.outcome_for_owner(OFFLINE) == ABSENT
    guarded.close(DRAINING)
    guarded.disconnect(ALIVE, FORBIDDEN, "")
    guarded.request_reconnect(close=False)
    assert connection.calls == ["close", "disconnect", "request_reconnect"]
    assert (guarded.framing, guarded.seen_at, guarded.unsent(), guarded.send(())) == (None, 3.0, 7, True)


def test_a_handshake_travels_with_and_without_an_identity() -> None:
    for one in (None, identity("ada", "doc")):
        arrival = Arrival(Bare(), one, ("f",), "1.2.3.4:5", "t")
        taken = node_pb2.TakenConnection()
        pack_arrival(arrival, taken)
        found = unpack_arrival(taken, arrival.codec)
        assert (found.identity, found.files, found.address, found.traceparent) == (one, ("f",), "1.2.3.4:5", "t")

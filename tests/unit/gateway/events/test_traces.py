"""A client's connect and its events, and what their records carry."""

import pytest

from gateway.events.traces import ClientTraces
from gateway.wire.values import ClientEvent
from observability import spans
from observability import traceparent as tp
from observability.spans import Span
from observability.tracing import OFF, Tracer
from runtime.events.port import Record
from tests.support.wire import open_session

TRACE = "0af7651916cd43dd8448eb211c80319c"
SPAN = "b7ad6b7169203331"
SAMPLED = f"00-{TRACE}-{SPAN}-01"
UNSAMPLED = f"00-{TRACE}-{SPAN}-00"
NAMED = tp.from_headers("", TRACE)


def ignore(_span: Span) -> None:
    """A collector that keeps nothing."""


class Sink:
    """Takes records until it is full."""

    def __init__(self, room: int = 1) -> None:
        self.room = room
        self.taken: list[Record] = []

    def publish(self, record: Record) -> bool:
        if len(self.taken) < self.room:
            self.taken.append(record)
            return True
        return False


@pytest.fixture
def recorded() -> list[Span]:
    return []


def said(tracer, traceparent="", handshake="", sink=None):
    session = open_session(41)
    session.traceparent = handshake
    sink = sink or Sink()
    event = ClientEvent("secret-name", b'"secret"', "", "", None, traceparent)
    assert ClientTraces(tracer, "g1").publish(session, event, sink) is bool(sink.room)
    return sink.taken[0].headers if sink.taken else {}, sink


@pytest.mark.parametrize(("event", "handshake"), [(SAMPLED, ""), ("", SAMPLED), (SAMPLED, UNSAMPLED)])
def test_an_event_is_below_its_own_trace_or_its_handshakes(recorded, event, handshake):
    headers, sink = said(Tracer(recorded.append, seed=1), event, handshake)
    assert recorded == [], "not before the bus has it"
    sink.taken[0].on_taken()
    (span,) = recorded
    assert (span.name, span.kind, span.context.parent_id) == (spans.EVENT, spans.PRODUCER, SPAN)
    assert headers["traceparent"] == span.context.traceparent
    assert headers["X-Trace-ID"] == TRACE
    assert span.attributes[spans.SESSION] == "41"
    assert "secret" not in str(span)


def test_an_event_without_any_trace_begins_one_by_ratio(recorded):
    headers, _ = said(Tracer(recorded.append, ratio=1.0, seed=1))
    assert tp.sampled(headers["traceparent"])
    headers, _ = said(Tracer(recorded.append, ratio=0.0, seed=1))
    assert "traceparent" not in headers


@pytest.mark.parametrize("tracer", [OFF, Tracer(ignore, ratio=1.0, seed=1)])
def test_an_unsampled_trace_is_only_passed_on(tracer):
    headers, sink = said(tracer, UNSAMPLED)
    assert (headers["traceparent"], headers["X-Trace-ID"]) == (UNSAMPLED, TRACE)
    assert sink.taken[0].on_taken is None


def test_an_event_that_the_bus_refuses_is_an_error(recorded):
    said(Tracer(recorded.append, seed=1), SAMPLED, sink=Sink(room=0))
    (span,) = recorded
    assert span.error == "busy"


def test_a_connect_is_a_span_and_what_the_session_does_is_below_it(recorded):
    session = open_session(41)
    session.traceparent = SAMPLED
    connected = ClientTraces(Tracer(recorded.append, seed=1), "g1").begin_connect(session)
    assert connected is not None
    connected()
    (span,) = recorded
    assert (span.name, span.kind, span.context.parent_id) == (spans.CONNECT, spans.SERVER, SPAN)
    assert session.traceparent == span.context.traceparent


def test_a_client_that_only_names_its_trace(recorded):
    session = open_session(41)
    session.traceparent = NAMED
    assert ClientTraces(OFF, "g1").begin_connect(session) is None
    assert tp.trace_id_of(session.traceparent) == TRACE
    assert tp.span_id_of(session.traceparent)
    session.traceparent = ""
    assert ClientTraces(Tracer(recorded.append, ratio=1.0), "g1").begin_connect(session) is None, (
        "connects begin no trace"
    )
    assert session.traceparent == ""

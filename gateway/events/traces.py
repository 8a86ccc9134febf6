"""Shell: the spans that a traced client leaves on this node: its connect, and each of its events.

An event belongs to the trace that it names itself, else to the one its client's handshake named, else, for a share of
them, to a fresh one. The record's headers carry the event's span, so that what its consumer does, and pushes, is below.
"""

import time
from collections.abc import Callable
from functools import partial

from gateway.events import record
from gateway.sessions.session import Session
from gateway.wire.values import ClientEvent
from observability import spans
from observability.spans import Context, Value
from observability.tracing import Tracer
from runtime.events.port import EventSink


class ClientTraces:
    """What this node keeps of its clients' traces."""

    def __init__(self, tracer: Tracer, node: str) -> None:
        self._tracer = tracer
        self._node = node

    def begin_connect(self, session: Session) -> Callable[[], None] | None:
        """A client is being admitted; the answer is called when it is connected. None: it came without a trace.

        What the session does from now on is below its connect.
        """
        given = session.traceparent
        context = self._tracer.begin_if_traced(given)
        if context is None:
            session.traceparent = self._tracer.propagated(given)
            return None
        session.traceparent = context.traceparent
        attributes: dict[str, Value] = {spans.NODE: self._node, spans.SESSION: str(session.sid)}
        return partial(self._end, context, spans.CONNECT, spans.SERVER, time.monotonic_ns(), attributes, "")

    def publish(self, session: Session, event: ClientEvent, sink: EventSink) -> bool:
        """Hand an event to the bus; False: it takes no more now."""
        given = event.traceparent or session.traceparent
        context = self._tracer.begin(given)
        if context is None:
            return sink.publish(record.sent(session, event, self._tracer.propagated(given)))
        attributes: dict[str, Value] = {
            spans.OPERATION: "send",
            spans.BODY_SIZE: len(event.data),
            spans.NODE: self._node,
            spans.SESSION: str(session.sid),
        }
        end = partial(self._end, context, spans.EVENT, spans.PRODUCER, time.monotonic_ns(), attributes)
        taken = sink.publish(record.sent(session, event, context.traceparent, partial(end, "")))
        if not taken:
            attributes[spans.ERROR_TYPE] = "busy"
            end("busy")
        return taken

    def _end(
        self, context: Context, name: str, kind: int, start_ns: int, attributes: dict[str, Value], error: str
    ) -> None:
        self._tracer.record(context, name, kind, start_ns, time.monotonic_ns(), attributes, error)

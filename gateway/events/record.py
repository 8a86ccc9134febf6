"""Core: a client's doing as an event record (docs/protocol.md, "Events upstream")."""

from collections.abc import Callable

from gateway.sessions.session import Session
from gateway.wire.values import ClientEvent
from observability.traceparent import trace_id_of
from runtime.events.port import Record

JSON = "application/json"


def connected(session: Session) -> Record:
    """The client is connected."""
    return _record(session, "connect")


def sent(
    session: Session, event: ClientEvent, traceparent: str = "", on_taken: Callable[[], None] | None = None
) -> Record:
    """The client sent an event; the value is its payload's bytes, untouched.

    `traceparent`: the gateway's span, below which the consumer continues; "": the client's own.
    """
    extra = {"Content-Type": event.content_type or JSON}
    if event.event:
        extra["X-Name"] = event.event
    if event.id is not None:
        extra["X-Ack"] = str(event.id)
    file = event.file or (session.files[0] if not event.event and len(session.files) == 1 else "")
    return _record(session, "message", file, event.data, extra, traceparent or event.traceparent, on_taken)


def joined(session: Session, file: str) -> Record:
    """The session has joined a file."""
    return _record(session, "message", file, extra={"X-Inner": "join"})


def left(session: Session, file: str) -> Record:
    """The session has left a file (not written at a disconnect, which implies it)."""
    return _record(session, "message", file, extra={"X-Inner": "leave"})


def disconnected(session: Session, code: int, reason: str) -> Record:
    """The session is gone, and why."""
    return _record(session, "disconnect", extra={"X-Reason": f"{code} {reason}".rstrip()})


def _record(
    session: Session,
    kind: str,
    file: str = "",
    value: bytes = b"",
    extra: dict[str, str] | None = None,
    traceparent: str = "",
    on_taken: Callable[[], None] | None = None,
) -> Record:
    session.seq += 1
    headers = {
        "X-ID": str(session.sid),
        "X-Uid": session.user,
        "X-Event": kind,
        "X-Auth-Type": session.identity.auth_type,
        "X-Namespace": session.codec.namespace,
        "X-Seq": str(session.seq),
    }
    if file:
        headers["X-Guid"] = file
    trace = traceparent or session.traceparent
    if trace:
        headers["traceparent"] = trace
        headers["X-Trace-ID"] = trace_id_of(trace)
    headers.update(extra or {})
    return Record(file or session.user, headers, value, on_taken)

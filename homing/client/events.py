"""The trace context of a client's event, from the headers that a backend reads from the bus.

    async for _, fields in stream:                       # Redis; or a Kafka record's headers
        with trace_of(fields) as trace:
            log.info("edit", extra={"trace_id": trace.trace_id})
            await router.push(file="notes", event="edit", data=...)   # continues the same trace

With the package `opentelemetry-api` installed, `with` also makes the event's span OpenTelemetry's current span.
"""

import re
import sys
from collections.abc import Iterable, Mapping
from contextvars import ContextVar, Token
from types import TracebackType
from typing import Any, Self

Name = str | bytes
Headers = Mapping[Any, Any] | Iterable[tuple[Any, Any]]

_match_traceparent = re.compile(r"[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-([0-9a-f]{2})").match
_match_trace_id = re.compile(r"(?!0{32})[0-9a-f]{32}").fullmatch
_current: ContextVar[str] = ContextVar("homing_traceparent", default="")


class TraceContext:
    """The trace context of an event. Within `with`, pushes of the running task continue its trace."""

    __slots__ = ("_attached", "_token", "context", "sampled", "trace_id", "traceparent")

    def __init__(self, traceparent: str, trace_id: str) -> None:
        """Malformed values count as absent."""
        match = _match_traceparent(traceparent)
        self.traceparent = traceparent if match else ""  # W3C; "" when the event has none
        self.trace_id = match[1] if match else trace_id if _match_trace_id(trace_id) else ""  # 32 hex digits, or ""
        self.sampled = bool(match and int(match[2], 16) & 1)  # the W3C sampled flag
        self.context = _extract(self.traceparent)  # OpenTelemetry's Context; None without OpenTelemetry
        self._token: Token[str] | None = None
        self._attached: Any = None

    def __enter__(self) -> Self:
        self._token = _current.set(self.traceparent)
        if self.context is not None:
            from opentelemetry import context

            self._attached = context.attach(self.context)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if self._attached is not None:
            from opentelemetry import context

            context.detach(self._attached)
            self._attached = None
        if self._token is not None:
            _current.reset(self._token)
            self._token = None

    def __repr__(self) -> str:
        return f"TraceContext({self.traceparent!r}, trace_id={self.trace_id!r})"


def trace_of(headers: Headers) -> TraceContext:
    """The trace context of an event. `headers`: a Redis Stream's fields, or a Kafka record's headers; str or bytes."""
    pairs = headers.items() if isinstance(headers, Mapping) else headers
    found = {_text(name).lower(): _text(value) for name, value in pairs if _text(name).lower() in _TRACE_HEADERS}
    return TraceContext(found.get("traceparent", ""), found.get("x-trace-id", ""))


def current_traceparent() -> str:
    """The running task's traceparent: OpenTelemetry's current span, else `with trace_of(...)`, else ""."""
    if "opentelemetry.trace" in sys.modules:  # never imported here: a program that traces has done so before
        from opentelemetry import trace

        span = trace.get_current_span().get_span_context()
        if span.is_valid:
            return f"00-{span.trace_id:032x}-{span.span_id:016x}-{int(span.trace_flags):02x}"
    return _current.get()


_TRACE_HEADERS = ("traceparent", "x-trace-id")


def _text(value: Name) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


def _extract(traceparent: str) -> Any:  # noqa: ANN401 - the type is from an optional package
    if not traceparent:
        return None
    try:
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
    except ImportError:
        return None
    return TraceContextTextMapPropagator().extract({"traceparent": traceparent})

"""A trace from Jaeger's query API: fetched within a time limit, and read whatever the server answers."""

import http.client
import queue
import threading
import urllib.error
import urllib.request
from typing import Annotated, Any

import msgspec

from homing.cluster.errors import CommandError
from homing.command.waterfall import DrawnSpan

JAEGER_TIMEOUT = 5.0  # seconds for the whole answer
MAX_ANSWER = 64 << 20  # bytes

Microseconds = Annotated[int, msgspec.Meta(ge=0, le=2**62)]


class JaegerTag(msgspec.Struct):
    """An attribute."""

    key: str
    value: Any = None


class JaegerReference(msgspec.Struct):
    """Another span, for example the parent."""

    refType: str = ""
    spanID: str = ""


class JaegerSpan(msgspec.Struct):
    """A span; what Homing draws of it."""

    spanID: str
    startTime: Microseconds
    duration: Microseconds
    operationName: str = "?"
    processID: str = ""
    references: list[JaegerReference] | None = None
    tags: list[JaegerTag] | None = None


class JaegerProcess(msgspec.Struct):
    """The service that made a span."""

    serviceName: str = "?"
    tags: list[JaegerTag] | None = None


class JaegerTrace(msgspec.Struct):
    """`data[0]` of the answer."""

    spans: list[JaegerSpan] | None = None
    processes: dict[str, JaegerProcess] | None = None


class JaegerAnswer(msgspec.Struct):
    """The body of `GET /api/traces/ID`."""

    data: list[JaegerTrace] | None = None


def read(trace: JaegerTrace) -> list[DrawnSpan]:
    """The spans of one trace in the order of their starts."""
    spans = sorted(trace.spans or (), key=lambda span: (span.startTime, -span.duration))
    begin = spans[0].startTime if spans else 0
    ids = {span.spanID for span in spans}
    return [_span(span, trace.processes or {}, begin, ids) for span in spans]


def _span(span: JaegerSpan, processes: dict[str, JaegerProcess], begin: int, ids: set[str]) -> DrawnSpan:
    process = processes.get(span.processID) or JaegerProcess()
    instance = _values(process.tags).get("service.instance.id", "")
    parents = [one.spanID for one in span.references or () if one.refType == "CHILD_OF"]
    attributes = _values(span.tags)
    failed = attributes.get("error") is True or attributes.get("otel.status_code") == "ERROR"
    return DrawnSpan(
        span.spanID,
        next((parent for parent in parents if parent in ids), ""),
        span.operationName,
        f"{process.serviceName} {instance}".rstrip(),
        span.startTime - begin,
        span.duration,
        attributes,
        str(attributes.get("otel.status_description") or "error") if failed else "",
    )


def _values(tags: list[JaegerTag] | None) -> dict[str, object]:
    return {tag.key: tag.value for tag in tags or ()}


def fetch(jaeger: str, trace_id: str, timeout: float = JAEGER_TIMEOUT) -> JaegerTrace:
    """The trace. `timeout`: seconds. CommandError: no Jaeger answers at the URL, or Jaeger does not have the trace."""
    body = _get_within(jaeger, f"{jaeger.rstrip('/')}/api/traces/{trace_id}", timeout)
    if body is None:
        raise _unknown_trace(jaeger, trace_id)
    try:
        answer = msgspec.json.decode(body, type=JaegerAnswer)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise CommandError(
            f"what answers at {jaeger} is no query API of Jaeger ({error}); name one with --jaeger"
        ) from None
    if not answer.data or not answer.data[0].spans:
        raise _unknown_trace(jaeger, trace_id)
    return answer.data[0]


def _get_within(jaeger: str, url: str, timeout: float) -> bytes | None:
    """The body; None for 404. In a thread: a socket's own timeout begins again with each byte that arrives."""
    results: queue.SimpleQueue[bytes | CommandError | None] = queue.SimpleQueue()

    def work() -> None:
        try:
            results.put(_get(jaeger, url, timeout))
        except CommandError as error:
            results.put(error)

    threading.Thread(target=work, daemon=True).start()
    try:
        result = results.get(timeout=timeout)
    except queue.Empty:
        raise _no_jaeger(jaeger, f"no whole answer within {timeout:g} s") from None
    if isinstance(result, CommandError):
        raise result
    return result


def _get(jaeger: str, url: str, timeout: float) -> bytes | None:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=timeout) as response:
            body: bytes = response.read(MAX_ANSWER + 1)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 404:
            return None
        raise CommandError(f"Jaeger at {jaeger} answered {error.code} {error.reason}") from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise _no_jaeger(jaeger, str(getattr(error, "reason", None) or error)) from None
    if len(body) > MAX_ANSWER:
        raise _no_jaeger(jaeger, f"its answer has more than {MAX_ANSWER} bytes")
    return body


def _no_jaeger(jaeger: str, reason: str) -> CommandError:
    return CommandError(f"no Jaeger answers at {jaeger} ({reason}); name its query API with --jaeger")


def _unknown_trace(jaeger: str, trace_id: str) -> CommandError:
    return CommandError(
        f"Jaeger at {jaeger} has no trace {trace_id}: spans arrive a moment after the push; was the push sampled, "
        "and does the cluster run with --otlp?"
    )

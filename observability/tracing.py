"""Shell: which pushes and events are traced, and the recording of their spans. Imports nothing of OpenTelemetry.

A span is recorded when its outcome is known, with both of its times. So the hot path carries no span object, and a push
that is not sampled costs one comparison (3 to 8 us with OpenTelemetry's SDK, docs/performance.md). Sampling is decided
by the parent; of the pushes and events without a parent, where a trace would begin, a share is sampled.
"""

import random
import re
from collections.abc import Callable
from typing import Annotated

import msgspec

from observability import traceparent as tp
from observability.sampling import ID_LIMIT, Sampling
from observability.spans import Attributes, Context, Span

_match_url = re.compile(r"https?://(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:]+\]):([0-9]{1,5})/?").fullmatch

Record = Callable[[Span], None]
"""Receives each finished span. Must not block."""


class TraceSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[trace]`: the collector; OpenTelemetry's own variables (`OTEL_*`) override both settings. Without a collector
    nothing is recorded; callers' trace ids are still propagated.
    """

    otlp: str = ""  # URL of the OTLP/gRPC collector, http://HOST:PORT, or https for TLS; "": no spans are recorded.
    # The share of the pushes and client events without a trace of their own that are traced.
    ratio: Annotated[float, msgspec.Meta(ge=0, le=1)] = 1.0

    def __post_init__(self) -> None:
        found = _match_url(self.otlp)
        if self.otlp and (found is None or not 0 < int(found[1]) < 65536):
            raise ValueError(f"otlp = {self.otlp!r} is not a URL such as http://127.0.0.1:4317")


class Tracer:
    """Creates the contexts of spans, and passes finished spans to the exporter."""

    __slots__ = ("_bound", "_parent_based", "_random", "_record", "_refuses")

    def __init__(
        self,
        record: Record | None = None,
        ratio: float = 0.0,
        seed: int | None = None,
        *,
        parent_based: bool = True,
        refuses: Callable[[], bool] = bool,
    ) -> None:
        """`record`: None without a collector; then nothing is sampled. `ratio`, `parent_based`: see `Sampling`.
        `seed`: repeatable ids, for tests. `refuses`: whether the exporter takes no further traces now.
        """
        self._refuses = refuses
        self._record = record
        self._bound = Sampling(ratio if record is not None else 0.0).bound
        self._parent_based = parent_based
        self._random = random.Random(seed)

    @property
    def on(self) -> bool:
        """Whether spans are recorded at all."""
        return self._record is not None

    def samples(self, traceparent: str) -> bool:
        """Whether a span below `traceparent` (not "") is recorded."""
        if self._record is None:
            return False
        if self._parent_based:
            return tp.sampled(traceparent)
        return int(traceparent[19:35], 16) < self._bound  # the low 64 bits of the trace id

    def begin(self, traceparent: str) -> Context | None:
        """The context of a new span below `traceparent` ("": without a parent). None: not sampled."""
        if traceparent:
            if not self.samples(traceparent) or self._refuses():
                return None
            return Context(tp.trace_id_of(traceparent), self._span_id(), tp.span_id_of(traceparent))
        if not self._bound:
            return None
        low = self._random.getrandbits(64)
        return self._root(low) if low < self._bound and not self._refuses() else None

    def begin_if_traced(self, traceparent: str) -> Context | None:
        """As `begin`, but never sampled without a parent."""
        return self.begin(traceparent) if traceparent else None

    def root(self) -> Context | None:
        """The context of a root span: a new trace, sampled. None: the exporter has no room for it."""
        return None if self._refuses() else self._root(self._random.getrandbits(64))

    def _root(self, low: int) -> Context:
        trace_id = self._random.getrandbits(64) * ID_LIMIT + low
        return Context(f"{trace_id or 1:032x}", self._span_id(), "")

    def child_of(self, parent: Context) -> Context:
        """The context of a child span."""
        return Context(parent.trace_id, self._span_id(), parent.span_id)

    def propagated(self, traceparent: str) -> str:
        """The traceparent to send when this process records no span: the caller's, with a span id if it has none."""
        if traceparent and not tp.span_id_of(traceparent):
            return f"00-{tp.trace_id_of(traceparent)}-{self._span_id()}-{traceparent[53:]}"
        return traceparent

    def record(
        self,
        context: Context,
        name: str,
        kind: int,
        start_ns: int,
        end_ns: int,
        attributes: Attributes,
        error: str = "",
        links: tuple[str, ...] = (),
    ) -> None:
        """Record a span that has ended. Times: time.monotonic_ns. `error`: "" for none. Never blocks."""
        if self._record is not None:
            self._record(Span(context, name, kind, start_ns, end_ns, attributes, error, links))

    def _span_id(self) -> str:
        return f"{self._random.getrandbits(64) or 1:016x}"


OFF = Tracer()
"""Records nothing, samples nothing."""

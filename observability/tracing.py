"""Shell: which pushes and events are traced, and the spans they leave. Nothing of OpenTelemetry is imported here.

A span is recorded when its outcome is known, with both its times: nothing on a hot path carries an SDK's object, and a
push that is not sampled costs one look at one character (through the SDK it is 3-8 us, docs/performance.md). Who is
sampled: whoever the parent says; without a parent, `ratio` of them, decided where the trace would begin.
"""

import random
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import msgspec

from observability import traceparent as tp
from observability.counters import Counters
from observability.spans import Attributes, Context, Span

if TYPE_CHECKING:
    from observability.otlp import SpanExporter

_match_url = re.compile(r"https?://(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:]+\]):([0-9]{1,5})/?").fullmatch

Record = Callable[[Span], None]


class TraceSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[trace]`: where spans go. Without a collector nothing is traced; callers' trace ids are still passed on."""

    otlp: str = ""  # a collector's OTLP/gRPC address, http://HOST:PORT (https: TLS); "" = none
    ratio: Annotated[float, msgspec.Meta(ge=0, le=1)] = 1.0  # of pushes and client events that come without a trace

    def __post_init__(self) -> None:
        found = _match_url(self.otlp)
        if self.otlp and (found is None or not 0 < int(found[1]) < 65536):
            raise ValueError(f"otlp = {self.otlp!r} is not a URL such as http://127.0.0.1:4317")


class Tracer:
    """Gives spans their place in a trace, and hands finished ones to whoever exports them."""

    __slots__ = ("_random", "_record", "ratio")

    def __init__(self, record: Record | None = None, ratio: float = 0.0, seed: int | None = None) -> None:
        """Without `record` (no collector) nothing is ever sampled. `seed` makes the ids of a test repeatable."""
        self._record = record
        self.ratio = ratio if record is not None else 0.0
        self._random = random.Random(seed)

    @property
    def on(self) -> bool:
        """Whether spans are kept at all."""
        return self._record is not None

    def begin(self, traceparent: str) -> Context | None:
        """The place of a new span below `traceparent` ("" = whoever came without a trace). None: not sampled."""
        if traceparent:
            if self._record is None or not tp.sampled(traceparent):
                return None
            return Context(tp.trace_id_of(traceparent), self._span_id(), tp.span_id_of(traceparent))
        return self.fresh() if self.ratio and self._random.random() < self.ratio else None

    def fresh(self) -> Context:
        """The place of a span that begins a trace."""
        return Context(f"{self._random.getrandbits(128) or 1:032x}", self._span_id(), "")

    def continued(self, traceparent: str) -> Context | None:
        """As `begin`, where somebody else decides for those without a trace."""
        return self.begin(traceparent) if traceparent else None

    def below(self, parent: Context) -> Context:
        """The place of a span whose parent is `parent`."""
        return Context(parent.trace_id, self._span_id(), parent.span_id)

    def passed_on(self, traceparent: str) -> str:
        """A trace that this process leaves no span in, as it may go over the wire."""
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
        """A span has ended. Times: time.monotonic_ns. Never waits; what cannot be held is counted and lost."""
        if self._record is not None:
            self._record(Span(context, name, kind, start_ns, end_ns, attributes, error, links))

    def _span_id(self) -> str:
        return f"{self._random.getrandbits(64) or 1:016x}"


OFF = Tracer()
"""Records nothing, samples nothing."""


def set_up(settings: TraceSettings, counters: Counters, **who: str) -> "tuple[Tracer, SpanExporter | None]":
    """A service's tracer, and the exporter that it must close; without a collector OFF and None.

    `who` describes this process by the conventions' names, with `_` for `.`: service_name, service_instance_id.
    """
    if not settings.otlp:
        return OFF, None
    from observability.otlp import SpanExporter  # a quarter of a second and 30 MB, for those who trace only

    exporter = SpanExporter(settings.otlp, {key.replace("_", "."): value for key, value in who.items()}, counters)
    return Tracer(exporter.start().record, settings.ratio), exporter

"""Shell: a service's tracer and exporters, as `[trace]` and the environment say. Imports OpenTelemetry when it must."""

import asyncio
import logging
import os
from collections.abc import Mapping, Sequence
from importlib.metadata import entry_points
from typing import TYPE_CHECKING

from observability import sampling
from observability.counters import Counters
from observability.destination import Destination, DestinationError, destinations
from observability.spans import Span
from observability.tracing import OFF, Record, Tracer, TraceSettings

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.export import SpanExporter

    from observability.export_thread import ExportThread

log = logging.getLogger(__name__)

ENTRY_POINTS = "opentelemetry_traces_exporter"  # the packages of exporters name them here


class SpanExport:
    """The exporters of this process, each with its thread. None, in most cases one, seldom several."""

    def __init__(self, threads: "Sequence[ExportThread]" = ()) -> None:
        self._threads = threads

    def recorder(self) -> Record:
        """What passes a span to every exporter."""
        if len(self._threads) == 1:
            return self._threads[0].record

        def record(span: Span) -> None:
            for thread in self._threads:
                thread.record(span)

        return record

    def refuses(self) -> bool:
        """Whether an exporter takes no further traces now."""
        return any(thread.refuses() for thread in self._threads)

    async def close(self) -> None:
        """Export what is queued, within `export_thread.CLOSE_TIMEOUT`, and end all threads."""
        await asyncio.gather(*(thread.close() for thread in self._threads))


def set_up(
    settings: TraceSettings, counters: Counters, environment: Mapping[str, str] = os.environ, **resource: str
) -> tuple[Tracer, SpanExport]:
    """A service's tracer and its exporters, which the service must close. Without a collector the tracer is OFF.

    `resource`: this process in the semantic conventions' names, with `_` for `.`: service_name, service_instance_id.
    DestinationError: the environment names an exporter that there is not, or that refuses its own variables.
    """
    chosen = destinations(settings.otlp, environment)
    sampled, warning = sampling.from_environment(environment, settings.ratio)
    if not chosen or sampled == sampling.FIXED["always_off"]:
        return OFF, SpanExport()
    if warning:
        log.warning("%s", warning)
    attributes = {key.replace("_", "."): value for key, value in resource.items()}
    export = SpanExport(_start(chosen, attributes, counters))
    tracer = Tracer(export.recorder(), sampled.ratio, parent_based=sampled.parent_based, refuses=export.refuses)
    return tracer, export


def _start(chosen: Sequence[Destination], attributes: Mapping[str, str], counters: Counters) -> "list[ExportThread]":
    from observability.export_thread import ExportThread  # costs a quarter of a second and 30 MB
    from observability.readable_spans import ReadableSpans, process_resource

    readable = ReadableSpans(process_resource(attributes))
    exporters = [(_load(one), one.text) for one in chosen]
    return [ExportThread(exporter, text, readable, counters).start() for exporter, text in exporters]


def _load(destination: Destination) -> "SpanExporter":
    """The exporter, from the package that provides it. DestinationError: none does, or the exporter refuses."""
    found = entry_points(group=ENTRY_POINTS)
    if destination.exporter not in found.names:
        known = ", ".join(sorted({"none", *found.names}))
        raise DestinationError(f"OTEL_TRACES_EXPORTER: {destination.exporter} is not known; there are: {known}")
    try:
        exporter: SpanExporter = found[destination.exporter].load()(**destination.arguments)
    except Exception as error:  # an exporter may refuse its variables with any error
        raise DestinationError(f"the {destination.text} cannot be set up: {error}") from error
    return exporter

"""Spans are exported in slices, wait while the exporter fails, and are counted when they are too many."""

import logging

import pytest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from observability import export_thread, names
from observability.counters import counters
from observability.export_thread import ExportThread
from observability.readable_spans import ReadableSpans
from observability.spans import SERVER, Context, Span

TRACE = "0af7651916cd43dd8448eb211c80319c"
SDK_LOG = logging.getLogger("opentelemetry.exporter.otlp.proto.grpc.exporter")


def span(number):
    return Span(Context(TRACE, f"{number + 1:016x}", ""), "push", SERVER, 1_000, 5_000, {})


class RecordingExporter(SpanExporter):
    """Keeps the size of each batch; fails while `reason` is set, and logs it as the stock exporters do."""

    def __init__(self):
        self.reason = ""
        self.batches = []
        self.error = None
        self.closed = False

    def export(self, spans):
        if self.error is not None:
            raise self.error
        if self.reason:
            SDK_LOG.error("Failed to export traces, error code: %s", self.reason)
            return SpanExportResult.FAILURE
        self.batches.append(len(spans))
        return SpanExportResult.SUCCESS

    def shutdown(self):
        self.closed = True


class Exporting:
    """An export thread that is not started: a test takes its steps. `waits`: the pauses between slices."""

    def __init__(self):
        self.exporter = RecordingExporter()
        self.counters = counters(names.ROUTER)
        destination = "trace collector at http://h:1"
        self.thread = ExportThread(self.exporter, destination, ReadableSpans(Resource({})), self.counters)
        self.waits = []
        self.thread._stop = self

    def wait(self, seconds):
        self.waits.append(seconds)
        return False

    def record(self, spans):
        for number in range(spans):
            self.thread.record(span(number))

    def export(self):
        self.thread._export_queued()


@pytest.fixture
def exporting():
    made = Exporting()
    yield made
    made.thread._reasons.close()


def test_slices_are_small_and_paid_for_with_pauses(exporting, monkeypatch):
    spent = iter(range(100))
    monkeypatch.setattr(export_thread.time, "thread_time", lambda: next(spent) / 1000)  # each slice takes 1 ms
    exporting.record(2 * export_thread.SLICE + 1)
    exporting.export()
    assert exporting.exporter.batches == [export_thread.SLICE, export_thread.SLICE, 1]
    assert exporting.waits == [pytest.approx(1 / 3 - 0.001)] * 3, "0.3 % of the time"


def own(caplog):
    """Our own records: pytest adds those of loggers that do not propagate, as the exporters' do not."""
    return [record for record in caplog.records if record.name.startswith("observability")]


def test_row_26_an_exporter_that_fails_is_one_warning_and_its_return_one_line(exporting, caplog):
    caplog.set_level(logging.INFO, "observability")
    exporting.exporter.reason = "UNAVAILABLE"
    exporting.record(300)
    for _ in range(20):
        exporting.export()
    assert [record.levelname for record in own(caplog)] == ["WARNING"]
    assert own(caplog)[0].getMessage() == (
        "the trace collector at http://h:1 does not answer; spans wait, pushes do not: "
        "Failed to export traces, error code: UNAVAILABLE"
    )
    exporting.exporter.reason = ""
    exporting.export()
    exporting.export()
    assert [record.levelname for record in own(caplog)] == ["WARNING", "INFO"]
    assert sum(exporting.exporter.batches) == exporting.counters.spans_sent == 300
    assert exporting.counters.spans_lost == 0


def test_spans_beyond_the_bound_are_counted(exporting, monkeypatch):
    monkeypatch.setattr(export_thread, "QUEUE", 10)
    exporting.exporter.reason = "UNAVAILABLE"
    exporting.record(15)
    exporting.export()
    assert (len(exporting.thread._queue), exporting.counters.spans_lost) == (10, 5)
    assert exporting.thread._queue[0] == span(0), "in their order still"


def test_when_the_queue_is_nearly_full_nothing_begins_until_it_is_half_empty(exporting, monkeypatch):
    monkeypatch.setattr(export_thread, "QUEUE", 10)
    monkeypatch.setattr(export_thread, "RESERVE", 2)
    exporting.record(8)
    assert not exporting.thread.refuses()
    exporting.record(1)
    assert exporting.thread.refuses()
    for _ in range(3):
        exporting.thread._queue.popleft()
    assert exporting.thread.refuses()
    exporting.thread._queue.popleft()
    assert not exporting.thread.refuses()
    assert exporting.counters.spans_lost == 2


def test_a_slice_that_cannot_be_exported_is_dropped_and_counted(exporting, caplog):
    exporting.exporter.error = ValueError("no such attribute")
    exporting.record(3)
    exporting.export()
    assert exporting.counters.spans_lost == 3
    assert "3 spans are dropped by an error in the exporter" in caplog.text
    exporting.exporter.error = None
    exporting.record(1)
    exporting.export()
    assert exporting.counters.spans_sent == 1


class RootHandler(logging.Handler):
    """What is logged in the end."""

    def __init__(self):
        super().__init__()
        self.texts = []

    def emit(self, record):
        self.texts.append(record.getMessage())


def test_exporters_may_log_again_when_none_is_left():
    root = RootHandler()
    logging.getLogger().addHandler(root)
    SDK_LOG.error("before")
    first, second = Exporting(), Exporting()
    SDK_LOG.error("meanwhile")
    first.thread._reasons.close()
    SDK_LOG.error("one is left")
    second.thread._reasons.close()
    SDK_LOG.error("after")
    logging.getLogger().removeHandler(root)
    assert root.texts == ["before", "after"]
    assert (first.thread._reasons.last, second.thread._reasons.last) == ("meanwhile", "one is left")


async def test_its_own_thread_exports_until_close():
    exporting = Exporting()
    thread = ExportThread(exporting.exporter, "exporter", ReadableSpans(Resource({})), exporting.counters).start()
    thread.record(span(1))
    await thread.close()
    assert (exporting.exporter.batches, exporting.exporter.closed) == ([0, 1], True)
    exporting.thread._reasons.close()

"""Shell: one PushStream: pushes in, reports out as they finish, matched by push_id (docs/api.md, "PushStream").

A push that is refused never ends the stream: its report has the error. Pushes are started in stream order, without a
task for each. Two bounds: more than `stream_pushes` in flight are refused with RESOURCE_EXHAUSTED, item by item; and
while the caller does not read, the reports of all streams of a connection gather up to `UnreadReports.MAX_BYTES`, then
nothing more is read from its streams.
"""

from collections import deque
from collections.abc import Callable, Collection

from homing.v1 import router_pb2
from router.api.settings import ApiSettings
from router.api.unread_reports import UnreadReports
from router.caller import Caller
from router.push import CallRefused, invalid_argument
from router.push_handler import PushHandler

MESSAGE_PUSHES = 256
MESSAGE_BYTES = 1024 * 1024  # of more than one push
MESSAGE_REPORTS = 256
MESSAGE_SIZE = 1024 * 1024  # bytes of reports in one message, or one larger report: gRPC clients accept 4 MiB
RETRY_AFTER = 0.1  # seconds, for a push above the bound

OnReport = Callable[[bool], None]
"""Called when the stream has a report, or has finished. True: the report may linger, because others are in flight."""


class PushStreamCall:
    """The state of one stream. The transport passes messages to `receive` and sends what `next_response` returns."""

    __slots__ = (
        *("_caller", "_closed", "_dropped", "_finished", "_in_flight", "_on_report"),
        *("_pushes", "_settings", "_traceparent", "_unread"),
    )

    def __init__(
        self,
        settings: ApiSettings,
        pushes: PushHandler,
        caller: Caller,
        on_report: OnReport,
        traceparent: str = "",
        unread: UnreadReports | None = None,
    ) -> None:
        """`traceparent`: the stream's own; each push has its own in its request. `unread`: of the connection."""
        self._settings = settings
        self._pushes = pushes
        self._caller = caller
        self._on_report = on_report
        self._traceparent = traceparent
        self._in_flight = 0
        self._finished: deque[tuple[router_pb2.PushReport, int]] = deque()  # and its bytes
        self._unread = unread or UnreadReports()
        self._closed = False  # the caller has half-closed
        self._dropped = False  # the stream has ended

    @property
    def has_room(self) -> bool:
        """Whether the caller has read enough of its reports that more pushes may be read."""
        return self._unread.has_room

    @property
    def in_flight(self) -> int:
        """Pushes that have no report yet."""
        return self._in_flight

    @property
    def has_reports(self) -> bool:
        """Whether `next_response` returns a message."""
        return bool(self._finished)

    @property
    def finished(self) -> bool:
        """Whether the caller has half-closed, and every report has been returned."""
        return self._closed and not self._in_flight and not self._finished

    def receive(
        self,
        request: router_pb2.PushStreamRequest,
        size: int,
        received_ns: int,
        made_ids: Collection[str] = (),
    ) -> None:
        """One message of the caller. `size`: bytes. `received_ns`: monotonic clock. `made_ids`: push_ids that this
        router made, since the caller chose none."""
        pushes = request.pushes
        error = _check_message(len(pushes), size)
        for push in pushes:
            if error is not None:
                self._finish(_refused(push.push_id, error))
            elif self._in_flight >= self._settings.stream_pushes:
                text = f"{self._in_flight} pushes of this stream are in flight"
                self._finish(_refused(push.push_id, CallRefused("RESOURCE_EXHAUSTED", text, retry_after=RETRY_AFTER)))
            else:
                self._start(push, received_ns, push.push_id not in made_ids)
        if len(pushes) > 1:
            self._pushes.trace_batch(self._traceparent, pushes, received_ns)

    def refuse(self, push_id: str, refused: CallRefused) -> None:
        """An item that could not be read as a push."""
        self._finish(_refused(push_id, refused))

    def close(self) -> None:
        """The caller has half-closed. Pushes in flight are still reported."""
        self._closed = True
        self._on_report(False)

    def next_response(self) -> router_pb2.PushStreamResponse | None:
        """The next message for the caller; None: no report is finished."""
        if not self._finished:
            return None
        batch: list[router_pb2.PushReport] = []
        total = 0
        while self._finished and len(batch) < MESSAGE_REPORTS and total + self._finished[0][1] <= MESSAGE_SIZE:
            report, size = self._finished.popleft()
            total += size
            batch.append(report)
        if not batch:
            report, total = self._finished.popleft()
            batch.append(report)
        self._unread.remove(len(batch), total)
        return router_pb2.PushStreamResponse(reports=batch)

    def drop_reports(self) -> None:
        """The stream has ended: nobody will read its reports."""
        self._unread.remove(len(self._finished), sum(size for _, size in self._finished))
        self._finished.clear()
        self._dropped = True

    def _start(self, request: router_pb2.PushRequest, received_ns: int, dedup: bool) -> None:
        push_id = request.push_id

        def on_result(result: router_pb2.PushReport | CallRefused) -> None:
            self._in_flight -= 1
            self._finish(_refused(push_id, result) if isinstance(result, CallRefused) else result)

        linger = self._in_flight > 0
        self._in_flight += 1
        self._pushes.start(self._caller, request, received_ns, on_result, linger, dedup)

    def _finish(self, report: router_pb2.PushReport) -> None:
        if self._dropped:
            return
        size = report.ByteSize()
        self._finished.append((report, size))
        self._unread.add(size)
        self._on_report(self._in_flight > 0)


def _check_message(pushes: int, size: int) -> CallRefused | None:
    """Why every item of a message is refused: too many pushes, or too many bytes. None: the message is accepted."""
    if pushes > MESSAGE_PUSHES:
        return invalid_argument("pushes", f"{pushes} of them in one message; at most {MESSAGE_PUSHES}")
    if size > MESSAGE_BYTES and pushes > 1:
        text = f"{size} bytes of them in one message; at most {MESSAGE_BYTES}, or one larger push"
        return invalid_argument("pushes", text)
    return None


def _refused(push_id: str, refused: CallRefused) -> router_pb2.PushReport:
    return router_pb2.PushReport(push_id=push_id, error=to_error(refused))


def to_error(refused: CallRefused) -> router_pb2.Error:
    """A refusal as a message of the API."""
    error = router_pb2.Error(code=refused.code, message=str(refused), field=refused.field)
    if refused.retry_after is not None:
        error.retry_after.FromMilliseconds(round(refused.retry_after * 1000))
    return error

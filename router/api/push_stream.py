"""One PushStream: pushes in, reports out as they finish, in any order, matched by push_id (api.md, "PushStream").

A bad item never ends the stream: it gets its error. Pushes are handed over in stream order, without a task each. Two
bounds: over `stream_pushes` under way an item is refused with RESOURCE_EXHAUSTED; and when the caller does not read,
reports gather up to `UNREAD`, and then nothing more is read from it. A report weighs one, and one for each delivery
that it lists.
"""

from collections import deque
from collections.abc import Callable

from homing.v1 import router_pb2
from observability.tracing import OFF, Tracer
from router.api.settings import ApiSettings
from router.delivery.port import Delivery
from router.delivery.trace import record_batch, record_refused
from router.push import CallRefused, bad, check_push

UNREAD = 100_000  # weight of the reports that may wait for the caller: some MB
MESSAGE_PUSHES = 256
MESSAGE_BYTES = 1024 * 1024  # of more than one push
MESSAGE_REPORTS = 256
MESSAGE_WEIGHT = 10_000  # of one message of reports: below the 4 MiB that gRPC clients take, acks' own data apart
RETRY_AFTER = 0.1  # seconds, told to a caller that sends more than may be under way


def _nobody(_patient: bool) -> None:
    """Nobody listens yet."""


class PushStreamCall:
    """The state of one stream. Whoever carries it reads requests into `take` and writes what `reports` gives."""

    __slots__ = (
        *("_closed", "_delivery", "_finished", "_settings", "_traceparent", "_tracer", "_under_way", "_weight"),
        "on_some",
    )

    def __init__(self, settings: ApiSettings, delivery: Delivery, tracer: Tracer = OFF, traceparent: str = "") -> None:
        """`traceparent`: the stream's own; each push has its own in its request (api.md)."""
        self.on_some: Callable[[bool], None] = _nobody  # a report has finished; whether it may wait for company
        self._tracer = tracer
        self._traceparent = traceparent
        self._settings = settings
        self._delivery = delivery
        self._under_way = 0
        self._finished: deque[router_pb2.PushReport] = deque()
        self._weight = 0
        self._closed = False  # the caller has sent everything

    @property
    def room(self) -> bool:
        """Whether the caller has read enough of its reports that more may be taken."""
        return self._weight < UNREAD

    @property
    def under_way(self) -> int:
        """Pushes whose reports have not been made."""
        return self._under_way

    @property
    def waiting(self) -> bool:
        """Whether `reports` has more to give."""
        return bool(self._finished)

    @property
    def over(self) -> bool:
        """The caller has sent everything, and `reports` has given everything."""
        return self._closed and not self._under_way and not self._finished

    def take(self, request: router_pb2.PushStreamRequest, size: int, received_ns: int) -> None:
        """One message of the caller, `size` bytes."""
        error = _misfit(request, size)
        for push in request.pushes:
            if error is not None:
                self._finish(_refused(push.push_id, error))
            elif self._under_way >= self._settings.stream_pushes:
                text = f"{self._under_way} pushes of this stream are under way"
                self._finish(_refused(push.push_id, CallRefused("RESOURCE_EXHAUSTED", text, retry_after=RETRY_AFTER)))
            else:
                self._start(push, received_ns)
        if self._tracer.on and len(request.pushes) > 1:
            record_batch(self._tracer, self._traceparent, request.pushes, received_ns)

    def refuse(self, push_id: str, why: CallRefused) -> None:
        """An item that could not even be read as a push."""
        self._finish(_refused(push_id, why))

    def close(self) -> None:
        """The caller has sent everything: what is under way is still reported."""
        self._closed = True
        self.on_some(False)

    def reports(self) -> router_pb2.PushStreamResponse | None:
        """The next message for the caller; None while there is nothing to say."""
        if not self._finished:
            return None
        batch: list[router_pb2.PushReport] = []
        weight = 0
        while self._finished and len(batch) < MESSAGE_REPORTS and weight < MESSAGE_WEIGHT:
            report = self._finished.popleft()
            weight += 1 + len(report.deliveries)
            batch.append(report)
        self._weight -= weight
        return router_pb2.PushStreamResponse(reports=batch)

    def _start(self, request: router_pb2.PushRequest, received_ns: int) -> None:
        push_id = request.push_id
        try:
            push = check_push(request, self._settings.max_data, linger=self._under_way > 0)
        except CallRefused as refused:
            record_refused(self._tracer, request.traceparent, received_ns, refused)
            self._finish(_refused(push_id, refused))
            return

        def done(result: router_pb2.PushReport | CallRefused) -> None:
            self._under_way -= 1
            self._finish(_refused(push_id, result) if isinstance(result, CallRefused) else result)

        self._under_way += 1
        self._delivery.start(push, received_ns, done)

    def _finish(self, report: router_pb2.PushReport) -> None:
        self._finished.append(report)
        self._weight += 1 + len(report.deliveries)
        self.on_some(self._under_way > 0)


def _misfit(request: router_pb2.PushStreamRequest, size: int) -> CallRefused | None:
    """Why a message is refused as a whole (router.proto, PushStreamRequest)."""
    if len(request.pushes) > MESSAGE_PUSHES:
        return bad("pushes", f"{len(request.pushes)} of them in one message; at most {MESSAGE_PUSHES}")
    if size > MESSAGE_BYTES and len(request.pushes) > 1:
        return bad("pushes", f"{size} bytes of them in one message; at most {MESSAGE_BYTES}, or one larger push")
    return None


def _refused(push_id: str, refused: CallRefused) -> router_pb2.PushReport:
    return router_pb2.PushReport(push_id=push_id, error=to_error(refused))


def to_error(refused: CallRefused) -> router_pb2.Error:
    """A refusal as the API's own message."""
    error = router_pb2.Error(code=refused.code, message=str(refused), field=refused.field)
    if refused.retry_after is not None:
        error.retry_after.FromMilliseconds(round(refused.retry_after * 1000))
    return error

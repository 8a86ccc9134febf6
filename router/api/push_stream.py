"""One PushStream: pushes in, reports out as they finish, in any order, matched by push_id (api.md, "PushStream").

A bad item never ends the stream: it gets its error. Pushes are handed over in stream order, without a task each. Two
bounds: over `stream_pushes` under way an item is refused with RESOURCE_EXHAUSTED; and when the caller does not read,
reports gather up to `UNREAD`, and then nothing more is read from it.
"""

import asyncio
import time

from homing.v1 import router_pb2
from observability.tracing import OFF, Tracer
from router.api.calls import ApiSettings
from router.delivery.port import Delivery
from router.delivery.trace import record_batch, record_refused
from router.push import Refused, bad, check_push

UNREAD = 8192  # reports that may wait for the caller
MESSAGE_PUSHES = 256
MESSAGE_REPORTS = 256
RETRY_AFTER = 0.1  # seconds, told to a caller that sends more than may be under way


class PushStreamCall:
    """The state of one stream. The shell reads requests into `take` and writes what `reports` gives."""

    def __init__(self, settings: ApiSettings, delivery: Delivery, tracer: Tracer = OFF, traceparent: str = "") -> None:
        """`traceparent`: the stream's own; each push has its own in its request (api.md)."""
        self._tracer = tracer
        self._traceparent = traceparent
        self._settings = settings
        self._delivery = delivery
        self._under_way = 0
        self._finished: list[router_pb2.PushReport] = []
        self._some = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._closed = False  # the caller has sent everything

    def take(self, request: router_pb2.PushStreamRequest) -> None:
        """One message of the caller."""
        received = time.monotonic_ns()
        too_many = len(request.pushes) > MESSAGE_PUSHES
        for push in request.pushes:
            if too_many:
                text = f"{len(request.pushes)} of them in one message; at most {MESSAGE_PUSHES}"
                self._finish(_refused(push.push_id, bad("pushes", text)))
            elif self._under_way >= self._settings.stream_pushes:
                text = f"{self._under_way} pushes of this stream are under way"
                self._finish(_refused(push.push_id, Refused("RESOURCE_EXHAUSTED", text, retry_after=RETRY_AFTER)))
            else:
                self._start(push, received)
        if self._tracer.on and len(request.pushes) > 1:
            record_batch(self._tracer, self._traceparent, request.pushes, received)

    def close(self) -> None:
        """The caller has sent everything: what is under way is still reported."""
        self._closed = True
        self._some.set()

    async def wait_room(self) -> None:
        """Until the caller has read enough of its reports."""
        await self._room.wait()

    async def reports(self) -> router_pb2.PushStreamResponse | None:
        """The next message for the caller; None after the last report of a closed stream."""
        while not self._finished:
            if self._closed and not self._under_way:
                return None
            self._some.clear()
            await self._some.wait()
        batch, self._finished = self._finished[:MESSAGE_REPORTS], self._finished[MESSAGE_REPORTS:]
        if len(self._finished) < UNREAD:
            self._room.set()
        return router_pb2.PushStreamResponse(reports=batch)

    def _start(self, request: router_pb2.PushRequest, received_ns: int) -> None:
        push_id = request.push_id
        try:
            push = check_push(request, self._settings.max_data)
        except Refused as refused:
            record_refused(self._tracer, request.traceparent, received_ns, refused)
            self._finish(_refused(push_id, refused))
            return

        def done(result: router_pb2.PushReport | Refused) -> None:
            self._under_way -= 1
            self._finish(_refused(push_id, result) if isinstance(result, Refused) else result)

        self._under_way += 1
        self._delivery.start(push, received_ns, done)

    def _finish(self, report: router_pb2.PushReport) -> None:
        self._finished.append(report)
        self._some.set()
        if len(self._finished) >= UNREAD:
            self._room.clear()


def _refused(push_id: str, refused: Refused) -> router_pb2.PushReport:
    return router_pb2.PushReport(push_id=push_id, error=to_error(refused))


def to_error(refused: Refused) -> router_pb2.Error:
    """A refusal as the API's own message."""
    error = router_pb2.Error(code=refused.code, message=str(refused), field=refused.field)
    if refused.retry_after is not None:
        error.retry_after.FromMilliseconds(round(refused.retry_after * 1000))
    return error

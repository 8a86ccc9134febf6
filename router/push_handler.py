"""Shell: the one way in for a push, whichever transport it came by: right, check, trace of a refusal, delivery."""

import asyncio
import secrets
from collections.abc import Callable, Sequence
from functools import partial

from homing.v1 import router_pb2
from observability.tracing import OFF, Tracer
from router.caller import Caller
from router.delivery.port import OnResult, PushDelivery
from router.delivery.trace import record_batch, record_refused
from router.push import CallRefused, check_push

PendingReport = asyncio.Future[router_pb2.PushReport]


def unchanged(now_ns: int) -> int:
    """What is read now was received now."""
    return now_ns


def new_push_id() -> str:
    """A push_id for a push whose caller did not choose one: 22 characters, 128 random bits."""
    return secrets.token_urlsafe(16)


class PushHandler:
    """Admits pushes of callers to the delivery. `received_ns`: when the router received the push, monotonic clock."""

    __slots__ = ("_delivery", "_max_data", "_received", "_tracer")

    def __init__(
        self,
        delivery: PushDelivery,
        max_data: int,
        tracer: Tracer = OFF,
        received: Callable[[int], int] = unchanged,
    ) -> None:
        """`max_data`: bytes of one push's data. `received`: when what is read at a time was received."""
        self._received = received
        self._delivery = delivery
        self._max_data = max_data
        self._tracer = tracer

    def start(
        self,
        caller: Caller,
        request: router_pb2.PushRequest,
        received_ns: int,
        on_result: OnResult,
        linger: bool = False,
        dedup: bool = True,
    ) -> None:
        """Start one push without waiting. `on_result` is called exactly once, possibly before this returns.

        `linger`: its report may wait for other reports of the same caller. `dedup`: the caller chose its push_id.
        """
        try:
            if "push" not in caller.rights:
                caller.require("push")
            push = check_push(request, self._max_data, linger, dedup, caller.name)
        except CallRefused as refused:
            record_refused(self._tracer, request.traceparent, received_ns, refused)
            on_result(refused)
            return
        self._delivery.start(push, self._received(received_ns), on_result)

    async def push(self, caller: Caller, request: router_pb2.PushRequest, received_ns: int) -> router_pb2.PushReport:
        """The report of one push; a request without a push_id gets one. Raises CallRefused: nothing was sent."""
        report: PendingReport = asyncio.get_running_loop().create_future()
        chosen = bool(request.push_id)
        request.push_id = request.push_id or new_push_id()
        self.start(caller, request, received_ns, partial(_resolve, report), dedup=chosen)
        return await report

    def trace_batch(self, traceparent: str, pushes: Sequence[router_pb2.PushRequest], received_ns: int) -> None:
        """Record one message of several pushes, if traces are kept. `traceparent`: that of the stream."""
        if self._tracer.on:
            record_batch(self._tracer, traceparent, pushes, received_ns)


def _resolve(report: PendingReport, result: router_pb2.PushReport | CallRefused) -> None:
    if report.done():  # the call was cancelled
        return
    if isinstance(result, CallRefused):
        report.set_exception(result)
    else:
        report.set_result(result)

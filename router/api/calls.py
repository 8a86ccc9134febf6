"""Shell: the calls of the API, one handler for all transports (docs/api.md).

Every call takes its `Caller`, requires the right of the call (router/caller.py has the table), and raises CallRefused
when it has no effect. Pushes go through `PushHandler` in every case.
"""

import time
from collections.abc import AsyncIterator

from homing.internal.v1 import node_pb2
from homing.v1 import router_pb2
from registry.ports import RouteFeed
from router.api.push_stream import OnReport, PushStreamCall
from router.api.settings import ApiSettings
from router.api.unread_reports import UnreadReports
from router.caller import Caller
from router.delivery.plan import to_receivers
from router.hop.fleet import Fleet
from router.locate import LocateCalls
from router.node_requests import Answers, NodeRequests
from router.presence import PresenceCalls
from router.push import (
    CallRefused,
    Target,
    check_content_type,
    check_data,
    check_file,
    check_target,
    invalid_argument,
)
from router.push_handler import PushHandler
from router.watch import WatchCalls

MAX_REASON = 123  # bytes that a close frame holds (RFC 6455 §5.5)


class Calls:
    """Each method is one call: a request in, a response out, or CallRefused."""

    def __init__(
        self, settings: ApiSettings, pushes: PushHandler, feed: RouteFeed, fleet: Fleet, broadcasts: bool = False
    ) -> None:
        """`broadcasts`: whether pushes go to every node over the bus."""
        self._settings = settings
        self._pushes = pushes
        self._locate = LocateCalls(feed, fleet, broadcasts)
        self._node_requests = NodeRequests(feed, fleet)
        self._presence = PresenceCalls(feed, self._node_requests)
        self._watches = WatchCalls(feed, fleet)

    async def push(self, caller: Caller, request: router_pb2.PushRequest) -> router_pb2.PushResponse:
        """Push; a request without a push_id gets one."""
        received_ns = time.monotonic_ns()
        return router_pb2.PushResponse(report=await self._pushes.push(caller, request, received_ns))

    def push_stream(
        self, caller: Caller, traceparent: str, unread: UnreadReports, on_report: OnReport
    ) -> PushStreamCall:
        """PushStream, for a transport to carry. `traceparent`: that of the stream. `unread`: of its connection."""
        return PushStreamCall(self._settings, self._pushes, caller, on_report, traceparent, unread)

    async def locate(self, caller: Caller, request: router_pb2.LocateRequest) -> router_pb2.LocateResponse:
        caller.require("presence")
        return await self._locate.answer(request)

    async def presence(self, caller: Caller, request: router_pb2.PresenceRequest) -> router_pb2.PresenceResponse:
        caller.require("presence")
        return await self._presence.answer(request)

    async def join(self, caller: Caller, request: router_pb2.JoinRequest) -> router_pb2.JoinResponse:
        caller.require("push")
        sessions = await self._change_membership(request.target, request.file, leave=False)
        return router_pb2.JoinResponse(sessions=sessions)

    async def leave(self, caller: Caller, request: router_pb2.LeaveRequest) -> router_pb2.LeaveResponse:
        caller.require("push")
        sessions = await self._change_membership(request.target, request.file, leave=True)
        return router_pb2.LeaveResponse(sessions=sessions)

    async def disconnect(self, caller: Caller, request: router_pb2.DisconnectRequest) -> router_pb2.DisconnectResponse:
        caller.require("admin")
        target = check_target(request.target)
        if len(request.reason.encode()) > MAX_REASON:
            raise invalid_argument("reason", f"longer than {MAX_REASON} bytes")

        def make() -> node_pb2.NodeRequest:
            disconnect = node_pb2.Disconnect(
                receivers=to_receivers(target), reason=request.reason, allow_reconnect=request.allow_reconnect
            )
            return node_pb2.NodeRequest(disconnect=disconnect)

        return router_pb2.DisconnectResponse(sessions=_total(await self._node_requests.request(target, make)))

    async def reply(self, caller: Caller, request: router_pb2.ReplyRequest) -> router_pb2.ReplyResponse:
        caller.require("push")
        if not request.session:
            raise invalid_argument("session", "must be the event's X-ID")
        reply = self._reply(request)
        target = Target(session=request.session)
        answers = await self._node_requests.request(target, lambda: node_pb2.NodeRequest(reply=reply))
        outcomes = [answer.outcome for _, answer in answers if answer is not None and answer.verdict == node_pb2.DONE]
        if outcomes:
            return router_pb2.ReplyResponse(outcome=outcomes[-1])  # type: ignore[arg-type]
        unreachable = any(answer is None for _, answer in answers)
        outcome = router_pb2.Delivery.UNREACHABLE if unreachable else router_pb2.Delivery.OFFLINE
        return router_pb2.ReplyResponse(outcome=outcome)

    def watch(self, caller: Caller, request: router_pb2.WatchRequest) -> AsyncIterator[router_pb2.WatchResponse]:
        """Watch. Raises CallRefused at once, before the first change is requested."""
        caller.require("admin" if request.WhichOneof("of") == "nodes" else "presence")
        return self._watches.watch(request)

    def _reply(self, request: router_pb2.ReplyRequest) -> node_pb2.Reply:
        reply = node_pb2.Reply(session=request.session, ack=request.ack)
        if request.HasField("error"):
            error = request.error
            if not error.code:
                raise invalid_argument("error.code", "must not be empty")
            reply.error_code, reply.error_message, reply.error_field = error.code, error.message, error.field
            reply.retry_ms = max(0, error.retry_after.ToMilliseconds())
            return reply
        if request.data:
            reply.data = check_data(request.data, request.content_type, self._settings.max_data)
            reply.content_type = check_content_type(request.content_type)
        return reply

    async def _change_membership(self, requested: router_pb2.Target, file: str, leave: bool) -> int:
        target = check_target(requested)
        if not (target.session or target.user):
            raise invalid_argument("target", "must be a session or a user")
        checked_file = check_file(file)

        def make() -> node_pb2.NodeRequest:
            membership = node_pb2.Membership(receivers=to_receivers(target), file=checked_file, leave=leave)
            return node_pb2.NodeRequest(membership=membership)

        return _total(await self._node_requests.request(target, make))


def _total(answers: Answers) -> int:
    """The number of sessions. UNAVAILABLE when a node did not answer: calling again is safe."""
    unanswered = [leg.incarnation.node for leg, answer in answers if answer is None]
    if unanswered:
        raise CallRefused("UNAVAILABLE", f"node {unanswered[0]} did not answer; call again", retry_after=1.0)
    return sum(answer.sessions for _, answer in answers if answer is not None)

"""What the API's calls do: one handler, whichever way a call came in (api.md)."""

import secrets
import time
from collections.abc import AsyncIterator

from homing.internal.v1 import node_pb2
from homing.v1 import router_pb2
from observability.tracing import OFF, Tracer
from registry.ports import RouteFeed
from router.api.settings import ApiSettings
from router.delivery.plan import Plan, missed, plan, receivers
from router.delivery.port import Delivery
from router.delivery.trace import record_refused
from router.hop.fleet import Fleet
from router.node_requests import Answers, NodeRequests
from router.presence import Presence
from router.push import (
    CallRefused,
    Target,
    bad,
    check_content_type,
    check_data,
    check_file,
    check_push,
    check_target,
)
from router.watch import Watching

MAX_REASON = 123  # bytes that a close frame holds (RFC 6455 §5.5)


class Calls:
    """Each method is one call: a request in, a response out, or Refused."""

    def __init__(
        self, settings: ApiSettings, delivery: Delivery, feed: RouteFeed, fleet: Fleet, tracer: Tracer = OFF
    ) -> None:
        self.settings = settings
        self.delivery = delivery
        self.tracer = tracer
        self._feed = feed
        self._fleet = fleet
        self._node_requests = NodeRequests(feed, fleet)
        self._presence = Presence(feed, self._node_requests)
        self._watching = Watching(feed, fleet)

    async def push(self, request: router_pb2.PushRequest) -> router_pb2.PushResponse:
        received = time.monotonic_ns()
        request.push_id = request.push_id or secrets.token_urlsafe(16)
        try:
            push = check_push(request, self.settings.max_data)
        except CallRefused as refused:
            record_refused(self.tracer, request.traceparent, received, refused)
            raise
        return router_pb2.PushResponse(report=await self.delivery.push(push, received))

    async def locate(self, request: router_pb2.LocateRequest) -> router_pb2.LocateResponse:
        target = check_target(request.target)
        legs = plan(target, self._feed.table, self._fleet.scattering())
        source, caught_up = router_pb2.Route.TABLE, True
        if missed(legs):
            source, caught_up = router_pb2.Route.TABLE_AFTER_READ, await self._feed.wait_caught_up()
            legs = plan(target, self._feed.table, self._fleet.scattering())
        response = router_pb2.LocateResponse(registry_away=not caught_up, why=_why(target, legs, caught_up))
        for incarnation, leg in legs.items():
            response.routes.add(
                node=incarnation.node,
                epoch=incarnation.epoch,
                sessions=len(leg.known),
                source=router_pb2.Route.SCATTER if leg.scatter else source,
            )
        return response

    async def presence(self, request: router_pb2.PresenceRequest) -> router_pb2.PresenceResponse:
        return await self._presence.answer(request)

    async def join(self, request: router_pb2.JoinRequest) -> router_pb2.JoinResponse:
        sessions = await self._change_membership(request.target, request.file, leave=False)
        return router_pb2.JoinResponse(sessions=sessions)

    async def leave(self, request: router_pb2.LeaveRequest) -> router_pb2.LeaveResponse:
        sessions = await self._change_membership(request.target, request.file, leave=True)
        return router_pb2.LeaveResponse(sessions=sessions)

    async def disconnect(self, request: router_pb2.DisconnectRequest) -> router_pb2.DisconnectResponse:
        target = check_target(request.target)
        if len(request.reason.encode()) > MAX_REASON:
            raise bad("reason", f"longer than {MAX_REASON} bytes")

        def make() -> node_pb2.NodeRequest:
            wanted = node_pb2.Disconnect(
                receivers=receivers(target), reason=request.reason, allow_reconnect=request.allow_reconnect
            )
            return node_pb2.NodeRequest(disconnect=wanted)

        return router_pb2.DisconnectResponse(sessions=_total(await self._node_requests.request(target, make)))

    async def reply(self, request: router_pb2.ReplyRequest) -> router_pb2.ReplyResponse:
        if not request.session:
            raise bad("session", "must be the event's X-ID")
        message = self._reply(request)
        answers = await self._node_requests.request(Target(session=request.session), lambda: _copy(message))
        outcomes = [answer.outcome for _, answer in answers if answer is not None and answer.verdict == node_pb2.DONE]
        if outcomes:
            return router_pb2.ReplyResponse(outcome=outcomes[-1])  # type: ignore[arg-type]
        silent = any(answer is None for _, answer in answers)
        outcome = router_pb2.Delivery.UNREACHABLE if silent else router_pb2.Delivery.OFFLINE
        return router_pb2.ReplyResponse(outcome=outcome)

    def watch(self, request: router_pb2.WatchRequest) -> AsyncIterator[router_pb2.WatchResponse]:
        return self._watching.watch(request)

    def _reply(self, request: router_pb2.ReplyRequest) -> node_pb2.Reply:
        reply = node_pb2.Reply(session=request.session, ack=request.ack)
        if request.HasField("error"):
            error = request.error
            if not error.code:
                raise bad("error.code", "must not be empty")
            reply.error_code, reply.error_message, reply.error_field = error.code, error.message, error.field
            reply.retry_ms = max(0, error.retry_after.ToMilliseconds())
            return reply
        if request.data:
            reply.data = check_data(request.data, request.content_type, self.settings.max_data)
            reply.content_type = check_content_type(request.content_type)
        return reply

    async def _change_membership(self, target: router_pb2.Target, file: str, leave: bool) -> int:
        checked = check_target(target)
        if not (checked.session or checked.user):
            raise bad("target", "must be a session or a user")
        checked_file = check_file(file)

        def make() -> node_pb2.NodeRequest:
            return node_pb2.NodeRequest(
                membership=node_pb2.Membership(receivers=receivers(checked), file=checked_file, leave=leave)
            )

        return _total(await self._node_requests.request(checked, make))


def _copy(reply: node_pb2.Reply) -> node_pb2.NodeRequest:
    return node_pb2.NodeRequest(reply=reply)


def _total(answers: Answers) -> int:
    """For how many sessions it was done. UNAVAILABLE when a node did not answer: asking again is safe."""
    silent = [leg.incarnation.node for leg, answer in answers if answer is None]
    if silent:
        raise CallRefused("UNAVAILABLE", f"node {silent[0]} did not answer; ask again", retry_after=1.0)
    return sum(answer.sessions for _, answer in answers if answer is not None)


def _why(target: Target, legs: Plan, caught_up: bool) -> str:
    if not missed(legs):
        return ""
    kinds = ("session", "user", "file", "everyone")
    what = next(f"{kind} {getattr(target, kind)}" for kind in kinds if getattr(target, kind))
    if not caught_up:
        return f"etcd could not be read, and this router's table knows no live session of {what}"
    return f"no live session of {what}, by a table that holds everything committed before this call"

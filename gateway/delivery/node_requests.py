"""What routers request beside pushes: join, leave, disconnect, reply, who is in a file. One response each."""

import heapq

from gateway.back_pressure import SlowConsumers
from gateway.close_codes import DRAINING, FORBIDDEN
from gateway.delivery.push_writer import PushWriter
from gateway.membership import FileMembership
from gateway.outcome import DROPPED_SLOW, OFFLINE, QUEUED, WRITTEN
from gateway.sessions.index import Index
from gateway.sessions.session import Session
from gateway.wire.envelope import MAX_FILE
from gateway.wire.values import ErrorReply, Messages
from homing.internal.v1 import node_pb2

MAX_REASON = 123  # bytes that a close frame holds (RFC 6455 §5.5)


class NodeRequestHandler:
    """Carries requests out on this node's sessions."""

    def __init__(
        self, index: Index[Session], membership: FileMembership, writer: PushWriter, slow: SlowConsumers
    ) -> None:
        self._index = index
        self._membership = membership
        self._receivers = writer.receivers
        self._slow = slow

    async def carry_out(self, request: node_pb2.NodeRequest) -> node_pb2.NodeResponse:
        """The response to one request; NOT_MINE when nobody here is meant."""
        response = node_pb2.NodeResponse(call=request.call, verdict=node_pb2.DONE)
        match request.WhichOneof("what"):
            case "membership":
                response.sessions = await self._change_membership(request.membership)
            case "disconnect":
                response.sessions = self._disconnect(request.disconnect)
            case "reply":
                response.outcome = self._reply(request.reply)
                response.sessions = int(response.outcome != OFFLINE)
            case "presence":
                self._list_present(request.presence, response)
        if not response.sessions:
            response.verdict = node_pb2.NOT_MINE
        return response

    async def _change_membership(self, change: node_pb2.Membership) -> int:
        if not 1 <= len(change.file.encode()) <= MAX_FILE:  # the router has checked it; a peer may be another
            return 0
        sessions = list(self._receivers(change.receivers))
        if change.leave:
            for session in sessions:
                self._membership.leave_for_backend(session, change.file)
        else:
            sessions = [session for session in sessions if self._membership.has_room(session, change.file)]
            commits = [
                commit for session in sessions for commit in self._membership.join_for_backend(session, change.file)
            ]
            await self._membership.wait_reachable(commits)
        return len(sessions)

    def _disconnect(self, request: node_pb2.Disconnect) -> int:
        sessions = list(self._receivers(request.receivers))
        why = DRAINING if request.allow_reconnect else FORBIDDEN
        reason = request.reason.encode()[:MAX_REASON].decode(errors="ignore") or "removed"
        for session in sessions:
            if session.connection is not None:
                session.connection.disconnect(session, why, reason)
        return len(sessions)

    def _reply(self, reply: node_pb2.Reply) -> int:
        session = self._index.sessions.get(reply.session)
        connection = session.connection if session is not None else None
        if session is None or connection is None:
            return OFFLINE
        if not self._slow.send_or_close(connection, _reply_messages(session, reply)):
            return DROPPED_SLOW
        return QUEUED if connection.unsent() else WRITTEN

    def _list_present(self, request: node_pb2.FilePresence, response: node_pb2.NodeResponse) -> None:
        joined = self._index.file(request.file)
        response.sessions = len(joined)
        rest = (session for session in joined if session.sid > request.after)
        for session in heapq.nsmallest(request.limit, rest, key=lambda session: session.sid):
            response.present.add(
                session=session.sid,
                user=session.user,
                namespace=session.codec.namespace,
                connected_at_ms=session.connected_at,
            )


def _reply_messages(session: Session, reply: node_pb2.Reply) -> Messages:
    if not reply.error_code:
        return session.codec.reply(reply.ack, reply.data, reply.content_type)
    retry = reply.retry_ms or None
    return session.codec.error(ErrorReply(reply.error_code, reply.error_message, reply.ack, reply.error_field, retry))

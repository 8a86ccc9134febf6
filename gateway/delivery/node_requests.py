"""What routers ask beside pushes: join, leave, disconnect, reply, who is in a file. One answer each."""

import asyncio
import heapq
from collections.abc import Callable, Collection

from gateway.close_codes import DRAINING, FORBIDDEN
from gateway.outcome import DROPPED_SLOW, OFFLINE, QUEUED, WRITTEN
from gateway.service import Gateway
from gateway.sessions.index import Index
from gateway.sessions.session import Session
from gateway.wire.ports import ErrorReply
from homing.internal.v1 import node_pb2

MAX_REASON = 123  # bytes that a close frame holds (RFC 6455 §5.5)


class NodeRequestHandler:
    """Carries questions out on this node's sessions."""

    def __init__(
        self,
        gateway: Gateway,
        index: Index[Session],
        receivers: Callable[[node_pb2.Receivers], Collection[Session]],
    ) -> None:
        self._gateway = gateway
        self._index = index
        self._receivers = receivers

    async def answer(self, ask: node_pb2.NodeRequest) -> node_pb2.NodeResponse:
        """The answer to one question; NOT_MINE when nobody here is meant."""
        answer = node_pb2.NodeResponse(call=ask.call, verdict=node_pb2.DONE)
        match ask.WhichOneof("what"):
            case "membership":
                answer.sessions = await self._change_membership(ask.membership)
            case "disconnect":
                answer.sessions = self._disconnect(ask.disconnect)
            case "reply":
                answer.outcome = self._reply(ask.reply)
                answer.sessions = answer.outcome != OFFLINE
            case "presence":
                self._list_present(ask.presence, answer)
        if not answer.sessions:
            answer.verdict = node_pb2.NOT_MINE
        return answer

    async def _change_membership(self, wanted: node_pb2.Membership) -> int:
        sessions = list(self._receivers(wanted.receivers))
        if wanted.leave:
            for session in sessions:
                self._gateway.leave(session, wanted.file)
        else:
            sessions = [session for session in sessions if self._gateway.has_room(session, wanted.file)]
            await asyncio.gather(*(self._gateway.join(session, wanted.file) for session in sessions))
        return len(sessions)

    def _disconnect(self, wanted: node_pb2.Disconnect) -> int:
        sessions = list(self._receivers(wanted.receivers))
        closing = DRAINING if wanted.allow_reconnect else FORBIDDEN
        reason = wanted.reason.encode()[:MAX_REASON].decode(errors="ignore") or "removed"
        for session in sessions:
            session.close(closing.code, reason)
        return len(sessions)

    def _reply(self, reply: node_pb2.Reply) -> int:
        session = self._index.sessions.get(reply.session)
        if session is None or session.connection is None:
            return OFFLINE
        if reply.error_code:
            retry = reply.retry_ms or None
            complaint = ErrorReply(reply.error_code, reply.error_message, reply.ack, reply.error_field, retry)
            frame = session.codec.error(complaint)
        else:
            frame = session.codec.reply(reply.ack, reply.data, reply.content_type)
        if not self._gateway.tell(session, frame):
            return DROPPED_SLOW
        return QUEUED if session.connection is not None and session.connection.unsent() else WRITTEN

    def _list_present(self, wanted: node_pb2.FilePresence, answer: node_pb2.NodeResponse) -> None:
        joined = self._index.file(wanted.file)
        answer.sessions = len(joined)
        rest = (session for session in joined if session.sid > wanted.after)
        for session in heapq.nsmallest(wanted.limit, rest, key=lambda session: session.sid):
            answer.present.add(
                session=session.sid, user=session.user, namespace="/", connected_at_ms=session.connected_at
            )

"""The protocol of `/ws` after authentication: what a client's messages do (a `ConnectionHandler`).

It speaks bare, `homing.json` and `homing.msgpack` by the session's codec. One session per connection.
"""

import time

from gateway.close_codes import BAD_MESSAGES, DRAINING, UNAUTHORIZED, CloseCode
from gateway.identity.ports import Unauthorized, Verify
from gateway.session_commands import SessionCommands
from gateway.sessions.acks import Acks
from gateway.sessions.connection import Connection
from gateway.sessions.rates import MessageRates
from gateway.sessions.session import Session
from gateway.wire.values import (
    Ack,
    Auth,
    BadMessage,
    ClientEvent,
    ClientMessage,
    ErrorReply,
    Join,
    Leave,
    Ping,
)
from observability.counters import Counters

RECONNECT_WITHIN_MS = 1000  # in which clients of a draining node should come back, each at a random moment
MAX_BAD_IN_A_ROW = 10  # bad messages, then 4400


class ClientCommands:
    """Serves every authenticated client of this node."""

    def __init__(
        self, sessions: SessionCommands, verify: Verify, acks: Acks, rates: MessageRates, counters: Counters
    ) -> None:
        self._sessions = sessions
        self._verify = verify
        self._acks = acks
        self._rates = rates
        self._counters = counters

    # The connection -------------------------------------------------------------------------------------------------

    def on_open(self, connection: Connection) -> None:
        for session in connection.sessions:
            self._sessions.connect(connection, session)

    def on_blocked(self, connection: Connection) -> None:
        self._sessions.watch_blocked(connection)

    def on_too_large(self, connection: Connection, size: int) -> None:
        session = connection.sessions[0]
        if not self._rates.take(connection, size):
            self._sessions.end_flood(connection, session)
            return
        text = f"{size} bytes in one message; at most {self._sessions.settings.max_bytes}"
        self._sessions.refuse(connection, session, ErrorReply("too_large", text))

    def on_close(self, connection: Connection, code: int, reason: str) -> None:
        self._sessions.forget(connection)
        for session in connection.sessions:
            self._sessions.end(session, connection, code, reason)

    def disconnect(self, connection: Connection, session: Session, why: CloseCode, reason: str) -> None:
        connection.close(why, reason)

    def request_reconnect(self, connection: Connection, *, close: bool) -> None:
        sent = bool(connection.sessions)
        for session in connection.sessions:
            message = session.codec.reconnect(RECONNECT_WITHIN_MS, DRAINING.reason)
            sent = bool(message) and connection.send(message) and sent
        if close or not sent:
            connection.close(DRAINING)

    # Its messages ---------------------------------------------------------------------------------------------------

    def on_message(self, connection: Connection, text: bool, payload: bytes) -> None:
        session = connection.sessions[0]
        if not self._rates.take(connection, len(payload)):
            self._sessions.end_flood(connection, session)
            return
        try:
            message = session.codec.read(text, payload)  # type: ignore[attr-defined]  # codecs of this path can
        except BadMessage as bad:
            self._on_bad_message(connection, session, bad)
        else:
            connection.bad_messages = 0
            self._act(connection, session, message)

    def _act(self, connection: Connection, session: Session, message: ClientMessage) -> None:
        match message:
            case ClientEvent():
                self._sessions.publish(connection, session, message)
            case Ack(ack, data, content_type):
                if self._acks.acked(session, ack, data, content_type):
                    self._rates.give_back(connection)
            case Join(file, id):
                self._sessions.join(connection, session, file, id)
            case Leave(file, id):
                self._sessions.leave(connection, session, file, id)
            case Ping(id):
                self._sessions.reply(connection, session.codec.pong(id))
            case Auth(token, id):
                self._refresh(connection, session, token, id)

    def _refresh(self, connection: Connection, session: Session, token: str, id: int | None) -> None:
        """A later `auth`: the new token's identity counts from now on; it must be the same user's."""
        try:
            identity = self._verify(token, time.time())
            if identity.user != session.user:
                raise Unauthorized("the token is another user's")
        except Unauthorized as error:
            self._sessions.refuse(connection, session, ErrorReply("unauthorized", str(error), id, "token"))
            connection.close(UNAUTHORIZED)
            return
        session.identity = identity
        self._sessions.leave_ungranted(session)
        self._sessions.ok(connection, session, id)

    def _on_bad_message(self, connection: Connection, session: Session, bad: BadMessage) -> None:
        self._counters.bad_messages += 1
        connection.bad_messages += 1
        self._sessions.refuse(connection, session, ErrorReply("bad_message", str(bad), bad.id, bad.field))
        if connection.bad_messages >= MAX_BAD_IN_A_ROW:
            connection.close(BAD_MESSAGES)

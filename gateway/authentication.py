"""Clients that authenticate with their first message: a handshake without a token, then `auth` within 5 s.

Until then a connection carries no session, and `LateAuthentication` handles it; afterwards `ClientCommands` does.
"""

import logging
import time

from gateway.admission import Admission
from gateway.close_codes import DRAINING, FORBIDDEN, INTERNAL_ERROR, NO_AUTH, UNAUTHORIZED, CloseCode
from gateway.door.values import Arrival, Refusal
from gateway.identity.identity import Identity
from gateway.identity.ports import Unauthorized, Verify
from gateway.lifecycle import SessionLifecycle
from gateway.sessions.budget import Budget
from gateway.sessions.connection import Connection, ConnectionHandler
from gateway.sessions.session import Session
from gateway.sessions.timer import Deadlines
from gateway.wire.values import Auth, BadMessage, ErrorReply
from runtime.process.background_tasks import BackgroundTasks

log = logging.getLogger(__name__)

AUTH_WITHIN = 5.0  # seconds for the first `auth`


class Authentication:
    """Makes the connection of an admitted client, and keeps those that have not authenticated yet."""

    def __init__(
        self,
        admission: Admission,
        verify: Verify,
        commands: ConnectionHandler,
        lifecycle: SessionLifecycle,
        budget: Budget,
        deadlines: Deadlines,
        tasks: BackgroundTasks,
    ) -> None:
        self.verify = verify
        self.commands = commands
        self.admission = admission
        self.lifecycle = lifecycle
        self.tasks = tasks
        self._budget = budget
        self._deadlines = deadlines
        self._waiting: set[Connection] = set()

    async def enter(self, arrival: Arrival) -> Connection | Refusal:
        """The listener's request: a connection with a session that is registered and reachable, one without a session
        whose client must authenticate, or a refusal."""
        refusal = await self.admission.check(len(arrival.files))
        if refusal is not None:
            return refusal
        if arrival.identity is None:
            return Connection(LateAuthentication(self, arrival), self._budget)
        session = await self.admission.admit(arrival, arrival.identity, arrival.files)
        return session if isinstance(session, Refusal) else Connection(self.commands, self._budget, (session,))

    def close_waiting(self) -> None:
        """This node drains: clients that have not authenticated should do so elsewhere."""
        for connection in list(self._waiting):
            connection.close(DRAINING)

    def wait_for_auth(self, connection: Connection) -> None:
        """From now on the client has AUTH_WITHIN."""
        self._waiting.add(connection)

        def check(_now: float) -> None:
            if connection in self._waiting:
                connection.close(NO_AUTH)

        self._deadlines.schedule_after(check, AUTH_WITHIN)

    def stop_waiting(self, connection: Connection) -> None:
        """The client has authenticated, or is gone."""
        self._waiting.discard(connection)


class LateAuthentication:
    """The handler of one connection whose client has not authenticated (a `ConnectionHandler`)."""

    __slots__ = ("_arrival", "_authentication", "_identifying", "_is_open")

    def __init__(self, authentication: Authentication, arrival: Arrival) -> None:
        self._authentication = authentication
        self._arrival = arrival
        self._identifying = False  # the token is good, and the session is being registered
        self._is_open = False

    def on_open(self, connection: Connection) -> None:
        self._is_open = True
        self._authentication.wait_for_auth(connection)

    def on_message(self, connection: Connection, text: bool, payload: bytes) -> None:
        if self._identifying:
            return
        try:
            message = self._arrival.codec.read(text, payload)  # type: ignore[attr-defined]  # codecs of this path can
            if not isinstance(message, Auth):
                raise Unauthorized("the first message must be auth")
            identity = self._authentication.verify(message.token, time.time())
        except (BadMessage, Unauthorized) as error:
            self._refuse(connection, str(error))
            return
        if not all(map(identity.may_join, self._arrival.files)):  # another token with the same grants changes nothing
            why = "the token does not grant a file that was asked for"
            connection.send(self._arrival.codec.error(ErrorReply("forbidden", why, message.id, "file")))
            connection.close(FORBIDDEN)
            return
        self._identifying = True
        self._authentication.stop_waiting(connection)
        connection.pause_reading()
        self._authentication.tasks.start(self._identify(connection, identity, message.id))

    def on_too_large(self, connection: Connection, size: int) -> None:
        self._refuse(connection, "the first message must be auth")

    def on_blocked(self, connection: Connection) -> None:
        """What is sent before authentication is one error, and its close has a deadline of its own."""

    def on_close(self, connection: Connection, code: int, reason: str) -> None:
        """Nothing is kept of the client; a registration under way finds the connection gone."""
        self._is_open = False
        facts = {"peer": self._arrival.address, "code": code, "reason": reason}
        log.info("connection closed before it was authenticated", extra=facts)
        self._authentication.stop_waiting(connection)

    def disconnect(self, connection: Connection, session: Session, why: CloseCode, reason: str) -> None:
        connection.close(why, reason)

    def request_reconnect(self, connection: Connection, *, close: bool) -> None:
        connection.close(DRAINING)

    def _refuse(self, connection: Connection, why: str) -> None:
        connection.send(self._arrival.codec.error(ErrorReply("unauthorized", why)))
        connection.close(UNAUTHORIZED)

    async def _identify(self, connection: Connection, identity: Identity, id: int | None) -> None:
        arrival, own = self._arrival, self._authentication
        try:
            refusal = await own.admission.check(len(arrival.files))
            admitted = refusal or await own.admission.admit(arrival, identity, arrival.files)
        except Exception:
            connection.close(INTERNAL_ERROR)
            raise
        if isinstance(admitted, Refusal):
            connection.close(FORBIDDEN if admitted.status == 403 else DRAINING)
        elif not self._is_open:  # the client left meanwhile
            own.lifecycle.end(admitted, None, 1006, "")
        else:
            connection.sessions = (admitted,)
            connection.switch_to(own.commands)
            own.commands.on_open(connection)
            if id is not None:
                connection.send(admitted.codec.ok(id))
            connection.resume_reading()

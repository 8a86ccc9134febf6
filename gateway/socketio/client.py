"""One Socket.IO client: its namespaces, each a session, and what its packets do (a `ConnectionHandler`)."""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import msgspec

from gateway.close_codes import (
    BAD_MESSAGES,
    DONE,
    DRAINING,
    INTERNAL_ERROR,
    MESSAGE_TOO_BIG,
    NO_AUTH,
    CloseCode,
)
from gateway.door.values import Arrival, Refusal
from gateway.identity.identity import Identity
from gateway.sessions.connection import Connection
from gateway.sessions.session import Session
from gateway.socketio.services import ConnectRefused, Credentials, Services, check_connect
from gateway.wire.envelope import MAX_EVENT, MAX_FILE
from gateway.wire.socketio import (
    Acknowledged,
    ClientPacket,
    Connect,
    DefaultReader,
    Disconnect,
    Emitted,
    MalformedPacket,
    PacketReader,
    split_arguments,
)
from gateway.wire.socketio_codec import DefaultCodec, MsgpackCodec, SocketIoCodec, default_codec, msgpack_codec
from gateway.wire.socketio_msgpack import MsgpackReader
from gateway.wire.values import ClientEvent, ErrorReply

CONNECT_SECONDS = 10.0  # for a client to connect to a namespace, after it came or left its last one
ATTACHMENT_SECONDS = 10.0  # for the attachments of a packet (docs/promises.md, row 57)
JOIN, LEAVE, OWN = "homing:join", "homing:leave", "homing:"

_decode_text = msgspec.json.Decoder(str).decode


class _Parser(NamedTuple):
    """The parser that a client uses: its first packet tells which."""

    reader: PacketReader
    msgpack: bool

    def codec(self, namespace: str, known: bool) -> SocketIoCodec:
        """The codec of a namespace; only `known` ones are kept."""
        if self.msgpack:
            return msgpack_codec(namespace) if known else MsgpackCodec(namespace)
        return default_codec(namespace) if known else DefaultCodec(namespace)


class SocketIoClient:
    """Handles one connection."""

    __slots__ = ("_connecting", "_is_open", "_on_idle", "_own", "_packets", "_parser", "_sessions", "arrival")

    def __init__(self, own: Services, arrival: Arrival) -> None:
        self._own = own
        self.arrival = arrival
        self._parser: _Parser | None = None  # not known before the first packet
        self._sessions: dict[str, Session] = {}  # by namespace
        self._connecting: set[str] = set()  # namespaces that are being admitted
        self._is_open = False
        self._on_idle: Callable[[], None] | None = None
        self._packets = 0  # with attachments, begun

    # Another node ---------------------------------------------------------------------------------------------------

    @property
    def uses_msgpack(self) -> bool:
        """Whether its parser is the msgpack one."""
        return self._parser is not None and self._parser.msgpack

    def when_idle(self, then: Callable[[], None]) -> None:
        """Call `then` when no namespace is being admitted: now, or later."""
        if self._connecting:
            self._on_idle = then
        else:
            then()

    @classmethod
    def taken(cls, own: Services, arrival: Arrival, msgpack: bool, sessions: Sequence[Session]) -> "SocketIoClient":
        """The handler of a client that was another node's. It has no connection before `adopt`."""
        client = cls(own, arrival)
        if sessions:
            client._parser = client._make_parser(msgpack)
        client._sessions = {session.codec.namespace: session for session in sessions}
        return client

    def adopt(self, connection: Connection) -> None:
        """The connection is open already."""
        self._is_open = True
        if not self._sessions:
            self._await_namespace(connection)

    # The connection -------------------------------------------------------------------------------------------------

    def on_open(self, connection: Connection) -> None:
        self._is_open = True
        self._await_namespace(connection)

    def _await_namespace(self, connection: Connection) -> None:
        """A client without a namespace is of no use for long."""
        self._own.waiting.add(connection)

        def check(_now: float) -> None:
            if not self._sessions and not self._connecting:
                connection.close(NO_AUTH)

        self._own.deadlines.schedule_after(check, CONNECT_SECONDS)

    def on_blocked(self, connection: Connection) -> None:
        self._own.sessions.watch_blocked(connection)

    def on_too_large(self, connection: Connection, size: int) -> None:
        connection.close(MESSAGE_TOO_BIG)

    def on_close(self, connection: Connection, code: int, reason: str) -> None:
        self._is_open = False
        self._own.waiting.discard(connection)
        self._own.sessions.forget(connection)
        for session in connection.sessions:
            self._own.sessions.end(session, connection, code, reason)

    def disconnect(self, connection: Connection, session: Session, why: CloseCode, reason: str) -> None:
        """A client whose namespace is closed stays away; one whose transport is closed comes back."""
        if why is DRAINING:
            connection.close(why, reason)
            return
        codec = session.codec
        assert isinstance(codec, SocketIoCodec)
        connection.send(codec.disconnected())
        self._end_session(connection, session, why.code, reason)

    def request_reconnect(self, connection: Connection, *, close: bool) -> None:
        connection.close(DRAINING)

    def _end_session(self, connection: Connection, session: Session, code: int, reason: str) -> None:
        """One namespace is over, the connection goes on."""
        del self._sessions[session.codec.namespace]
        connection.sessions = tuple(self._sessions.values())
        self._own.sessions.end(session, None, code, reason)
        if not self._sessions:
            self._await_namespace(connection)

    # Its packets ----------------------------------------------------------------------------------------------------

    def on_message(self, connection: Connection, text: bool, payload: bytes) -> None:
        if not self._own.rates.take(connection, len(payload)):
            self._own.sessions.end_flood(connection, next(iter(self._sessions.values()), None))
            return
        try:
            packet = self._reader(text, payload).read(text, payload)
        except MalformedPacket:
            connection.close(BAD_MESSAGES)
            return
        if packet is None:
            if text:
                self._await_attachments(connection)
            return
        self._packets += 1
        self._act(connection, packet)

    def _reader(self, text: bool, payload: bytes) -> PacketReader:
        if self._parser is None:
            self._parser = self._make_parser(not (text and payload[:1].isdigit()))
        return self._parser.reader

    def _make_parser(self, msgpack: bool) -> _Parser:
        return _Parser(MsgpackReader() if msgpack else DefaultReader(self._own.max_message), msgpack)

    def _await_attachments(self, connection: Connection) -> None:
        packets = self._packets

        def check(_now: float) -> None:
            if self._packets == packets:
                connection.close(BAD_MESSAGES)

        self._own.deadlines.schedule_after(check, ATTACHMENT_SECONDS)

    def _act(self, connection: Connection, packet: ClientPacket) -> None:
        if isinstance(packet, Connect):
            self._connect(connection, packet)
            return
        session = self._sessions.get(packet.namespace)
        if session is None:
            return  # it was on its way while the session ended
        match packet:
            case Emitted():
                self._emit(connection, session, packet)
            case Acknowledged(_, id, data, content_type):
                if self._own.acks.acked(session, id, data, content_type):
                    self._own.rates.give_back(connection)
            case Disconnect():
                self._end_session(connection, session, DONE.code, "client namespace disconnect")

    def _emit(self, connection: Connection, session: Session, packet: Emitted) -> None:
        sessions, id = self._own.sessions, packet.id
        if packet.event in (JOIN, LEAVE):
            file = _first_text(packet.data)
            if not 0 < len(file.encode()) <= MAX_FILE:
                error = ErrorReply("bad_message", f"a file's name has 1 to {MAX_FILE} bytes", id, "file")
                sessions.refuse(connection, session, error)
            elif packet.event == JOIN:
                sessions.join(connection, session, file, id)
            else:
                sessions.leave(connection, session, file, id)
        elif packet.event.startswith(OWN) or len(packet.event.encode()) > MAX_EVENT:
            text = f"an event's name has 1 to {MAX_EVENT} bytes, and does not begin with {OWN}"
            sessions.refuse(connection, session, ErrorReply("bad_message", text, id, "event"))
        else:
            file = session.files[0] if len(session.files) == 1 else ""
            event = ClientEvent(packet.event, packet.data, packet.content_type, file, id)
            sessions.publish(connection, session, event)

    # A namespace ----------------------------------------------------------------------------------------------------

    def _connect(self, connection: Connection, packet: Connect) -> None:
        assert self._parser is not None
        namespace = packet.namespace.partition("?")[0]
        known = namespace in self._own.namespaces
        codec = self._parser.codec(namespace, known)
        if namespace in self._sessions or namespace in self._connecting:
            connection.close(BAD_MESSAGES)
        elif not known:
            self._own.sessions.reply(connection, codec.invalid_namespace())
        else:
            self._check(connection, packet, codec)

    def _check(self, connection: Connection, packet: Connect, codec: SocketIoCodec) -> None:
        try:
            credentials = check_connect(packet, self.arrival, self._own.verify, time.time())
        except ConnectRefused as refused:
            self._own.sessions.reply(connection, codec.refused(refused.code, str(refused)))
            return
        self._connecting.add(codec.namespace)
        self._own.tasks.start(self._admit(connection, codec, credentials))

    async def _admit(self, connection: Connection, codec: SocketIoCodec, credentials: Credentials) -> None:
        try:
            admitted = await self._register(codec, credentials.identity, credentials.files)
        except Exception:
            connection.close(INTERNAL_ERROR)
            raise
        finally:
            self._connecting.discard(codec.namespace)
            if not self._connecting and self._on_idle is not None:
                asyncio.get_running_loop().call_soon(self._on_idle)
                self._on_idle = None
        if isinstance(admitted, Refusal):
            self._refuse(connection, codec, admitted)
        elif not self._is_open:  # the client left meanwhile
            self._own.sessions.end(admitted, None, 1006, "")
        else:
            self._sessions[codec.namespace] = admitted
            connection.sessions = tuple(self._sessions.values())
            self._own.waiting.discard(connection)
            self._own.sessions.connect(connection, admitted)

    async def _register(self, codec: SocketIoCodec, identity: Identity, files: tuple[str, ...]) -> Session | Refusal:
        admission = self._own.admission
        refusal = await admission.check(len(files))
        arrival = msgspec.structs.replace(self.arrival, codec=codec)
        return refusal or await admission.admit(arrival, identity, files)

    def _refuse(self, connection: Connection, codec: SocketIoCodec, refusal: Refusal) -> None:
        """After a CONNECT_ERROR the client stays away; after a lost transport it comes back, elsewhere."""
        if refusal.status == 403:
            self._own.sessions.reply(connection, codec.refused(refusal.code, refusal.message))
        else:
            connection.close(DRAINING, refusal.message)


def _first_text(data: bytes) -> str:
    """The first of an event's arguments, if it is text; else ""."""
    arguments = split_arguments(data)
    try:
        return _decode_text(arguments[0]) if arguments else ""
    except msgspec.MsgspecError:
        return ""

"""What the clients of Socket.IO share on a node, and the judgement of a CONNECT packet."""

from typing import NamedTuple, Protocol, cast

from gateway.admission import Admission
from gateway.door.values import Arrival
from gateway.identity.identity import Identity
from gateway.identity.ports import Unauthorized, Verify
from gateway.session_commands import SessionCommands
from gateway.sessions.connection import Connection
from gateway.sessions.rates import MessageRates
from gateway.sessions.session import Session
from gateway.sessions.timer import Deadlines
from gateway.wire.envelope import MAX_FILE
from gateway.wire.socketio import Connect
from runtime.process.background_tasks import BackgroundTasks


class AckTaker(Protocol):
    """Who takes clients' acks (`gateway.sessions.acks.Acks`, or beside it the other nodes)."""

    def acked(self, session: Session, ack: int, data: bytes, content_type: str) -> bool: ...


class Services(NamedTuple):
    """One for a node."""

    namespaces: frozenset[str]
    admission: Admission
    sessions: SessionCommands
    verify: Verify
    acks: AckTaker
    rates: MessageRates
    deadlines: Deadlines
    tasks: BackgroundTasks
    max_message: int  # bytes of a packet with its attachments
    waiting: set[Connection]  # connections without a session


class ConnectRefused(Exception):
    """A CONNECT that is answered with CONNECT_ERROR. `code`: a key of `gateway.close_codes.ERRORS`."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Credentials(NamedTuple):
    """Who connects to a namespace, and the files to join at once."""

    identity: Identity
    files: tuple[str, ...]


def check_connect(packet: Connect, arrival: Arrival, verify: Verify, now: float) -> Credentials:
    """Judge the token and the files of a CONNECT; `now`: seconds since the Unix epoch. Raises ConnectRefused.

    A token in the packet's `auth` counts before one in the handshake.
    """
    identity = arrival.identity
    token = packet.auth.get("token")
    if token is not None:
        try:
            identity = verify(token if isinstance(token, str) else "", now)
        except Unauthorized as error:
            raise ConnectRefused(error.code, str(error)) from None
    if identity is None:
        raise ConnectRefused("unauthorized", "a token is needed: io(url, {auth: {token}})")
    files = _files(packet, arrival)
    if not all(0 < len(file.encode()) <= MAX_FILE and identity.may_join(file) for file in files):
        raise ConnectRefused("forbidden", "no grant for this file")
    return Credentials(identity, files)


def _files(packet: Connect, arrival: Arrival) -> tuple[str, ...]:
    files = packet.auth.get("files", ())
    if not isinstance(files, list | tuple) or not all(isinstance(file, str) for file in cast("list[object]", files)):
        raise ConnectRefused("bad_request", "files: a list of names")
    return tuple(dict.fromkeys((*arrival.files, *cast("list[str]", files))))

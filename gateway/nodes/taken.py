"""Core: a session and its client as they travel from one node to another."""

from gateway.delivery.dedup import KnownPush
from gateway.door.values import Arrival
from gateway.identity.identity import Identity
from gateway.sessions.session import Session
from gateway.wire.ports import Codec
from homing.internal.v1 import node_pb2


def pack_identity(identity: Identity) -> node_pb2.Identity:
    """An identity as a message."""
    return node_pb2.Identity(
        user=identity.user, files=identity.files, auth_type=identity.auth_type, expires=identity.expires
    )


def unpack_identity(packed: node_pb2.Identity) -> Identity:
    """The identity in a message."""
    return Identity(packed.user, tuple(packed.files), packed.auth_type, packed.expires)


def pack_session(session: Session, written: list[KnownPush]) -> node_pb2.TakenSession:
    """A session as a message; `written`: pushes that a repeat must not write to it again."""
    return node_pb2.TakenSession(
        session=session.sid,
        namespace=session.codec.namespace,
        identity=pack_identity(session.identity),
        connected_at_ms=session.connected_at,
        files=session.files,
        backend_files=session.backend_files,
        seq=session.seq,
        traceparent=session.traceparent,
        written=[node_pb2.WrittenPush(caller=c, push_id=p, age_ms=age) for c, p, age in written],
    )


def unpack_session(packed: node_pb2.TakenSession, codec: Codec) -> Session:
    """The session in a message, not registered here yet."""
    session = Session(
        packed.session, unpack_identity(packed.identity), codec, packed.connected_at_ms, packed.traceparent
    )
    session.backend_files = tuple(packed.backend_files)
    session.seq = packed.seq
    return session


def pack_arrival(arrival: Arrival, into: node_pb2.TakenConnection) -> None:
    """What the client's handshake has said."""
    into.address, into.traceparent = arrival.address, arrival.traceparent
    into.files.extend(arrival.files)
    if arrival.identity is not None:
        into.identity.CopyFrom(pack_identity(arrival.identity))


def unpack_arrival(taken: node_pb2.TakenConnection, codec: Codec) -> Arrival:
    """The handshake in a message."""
    identity = unpack_identity(taken.identity) if taken.HasField("identity") else None
    return Arrival(codec, identity, tuple(taken.files), taken.address, taken.traceparent)

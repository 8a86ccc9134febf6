"""What another node has sent, as a message."""

from typing import TypeVar

from google.protobuf.message import DecodeError, Message

from runtime.grpc_wire.status import INVALID_ARGUMENT, StreamEnded

M = TypeVar("M", bound=Message)


def decode(kind: type[M], message: bytes) -> M:
    """The message; StreamEnded, which ends the call: it is none of this kind."""
    try:
        return kind.FromString(message)
    except DecodeError:
        raise StreamEnded(INVALID_ARGUMENT, f"no {kind.__name__}") from None

"""gRPC's message framing: a flag for compression, four bytes of length, the message."""

from struct import Struct
from typing import Final

from runtime.grpc_wire.status import RESOURCE_EXHAUSTED, UNIMPLEMENTED, StreamEnded

LARGEST: Final = 64 * 1024 * 1024  # bytes; a router's whole queue may be one message
_HEAD = Struct(">BI")


def framed(message: bytes) -> bytes:
    """The message as it goes on the wire."""
    return _HEAD.pack(0, len(message)) + message


class GrpcMessageReader:
    """Cuts a stream's data into messages, however it was split."""

    __slots__ = ("_largest", "_rest", "_wanted")

    def __init__(self, largest: int = LARGEST) -> None:
        self._largest = largest  # bytes of one message
        self._rest = bytearray()
        self._wanted = 5  # bytes that must be there before anything can be said

    @property
    def amid(self) -> bool:
        """Whether a message has begun and is not whole."""
        return bool(self._rest)

    def read(self, data: bytes) -> list[bytes]:
        """The messages that `data` completes. Raises StreamEnded for a message that we do not take."""
        if self._rest:
            self._rest += data
            if len(self._rest) < self._wanted:
                return []
            data = bytes(self._rest)
            self._rest.clear()
        messages: list[bytes] = []
        at, size = 0, len(data)
        self._wanted = 5
        while size - at >= 5:
            compressed, length = _HEAD.unpack_from(data, at)
            if compressed:
                raise StreamEnded(UNIMPLEMENTED, "messages may not be compressed")
            if length > self._largest:
                raise StreamEnded(RESOURCE_EXHAUSTED, f"a message of {length} bytes; {self._largest} are allowed")
            end = at + 5 + length
            if end > size:
                self._wanted = 5 + length
                break
            messages.append(data[at + 5 : end])
            at = end
        if at < size:
            self._rest += data[at:] if at else data
        return messages

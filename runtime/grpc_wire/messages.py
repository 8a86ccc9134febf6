"""gRPC's message framing: one byte that flags compression, four bytes of length, the message."""

from struct import Struct
from typing import Final

from runtime.grpc_wire.status import RESOURCE_EXHAUSTED, UNIMPLEMENTED, StreamEnded

MAX_MESSAGE_SIZE: Final = 64 * 1024 * 1024  # bytes; a router's whole queue may be one message
_PREFIX = Struct(">BI")
_PREFIX_SIZE: Final = 5


def encode_message(message: bytes) -> bytes:
    """The message with its prefix."""
    return _PREFIX.pack(0, len(message)) + message


class GrpcMessageReader:
    """Cuts the data of a stream into messages, however it was split."""

    __slots__ = ("_buffer", "_max_size", "_needed")

    def __init__(self, max_size: int = MAX_MESSAGE_SIZE) -> None:
        self._max_size = max_size  # bytes of one message
        self._buffer = bytearray()
        self._needed = _PREFIX_SIZE  # bytes in the buffer before it can be read

    @property
    def incomplete(self) -> bool:
        """Whether a message has begun and not ended."""
        return bool(self._buffer)

    def read(self, data: bytes) -> list[bytes]:
        """The messages that `data` completes. StreamEnded for a message that is compressed or too large."""
        if self._buffer:
            self._buffer += data
            if len(self._buffer) < self._needed:
                return []
            data = bytes(self._buffer)
            self._buffer.clear()
        messages: list[bytes] = []
        at, size = 0, len(data)
        self._needed = _PREFIX_SIZE
        while size - at >= _PREFIX_SIZE:
            compressed, length = _PREFIX.unpack_from(data, at)
            if compressed:
                raise StreamEnded(UNIMPLEMENTED, "messages may not be compressed")
            if length > self._max_size:
                raise StreamEnded(RESOURCE_EXHAUSTED, f"a message of {length} bytes; {self._max_size} are allowed")
            end = at + _PREFIX_SIZE + length
            if end > size:
                self._needed = _PREFIX_SIZE + length
                break
            messages.append(data[at + _PREFIX_SIZE : end])
            at = end
        if at < size:
            self._buffer += data[at:] if at else data
        return messages

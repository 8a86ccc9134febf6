"""Core: gRPC's message framing: one byte that flags compression, four bytes of length, the message."""

import zlib
from struct import Struct
from typing import Final

from runtime.grpc_wire.status import INTERNAL, RESOURCE_EXHAUSTED, UNIMPLEMENTED, StreamEnded

MAX_MESSAGE_SIZE: Final = 64 * 1024 * 1024  # bytes; a router's whole queue may be one message
PREFIX_SIZE: Final = 5
_PREFIX = Struct(">BI")
_GZIP: Final = 16 + zlib.MAX_WBITS


def encode_message(message: bytes) -> bytes:
    """The message with its prefix."""
    return _PREFIX.pack(0, len(message)) + message


class GrpcMessageReader:
    """Cuts the data of a stream into messages, however it was split, one at a time."""

    __slots__ = ("_at", "_buffer", "_chunk", "_encoding", "_max_size", "_needed", "handled")

    def __init__(self, max_size: int = MAX_MESSAGE_SIZE, encoding: bytes = b"identity") -> None:
        """`max_size`: bytes of one message. `encoding`: the peer's `grpc-encoding`."""
        self._max_size = max_size
        self._encoding = encoding
        self._chunk = b""  # received bytes, of which those before `_at` are read
        self._at = 0
        self._buffer = bytearray()  # the same, while they are less than one message
        self._needed = PREFIX_SIZE  # bytes in the buffer before it can be read
        self.handled = 0  # received bytes that the messages had which `next_message` has returned

    @property
    def incomplete(self) -> bool:
        """Whether a message has begun that `next_message` has not returned."""
        return bool(self._buffer) or self._at < len(self._chunk)

    @property
    def missing(self) -> int:
        """After `next_message` was None: bytes that its message lacks, 0 when none has begun."""
        return self._needed - len(self._buffer) if self._buffer else 0

    def feed(self, data: bytes) -> None:
        """Take received data."""
        if self._buffer:
            self._buffer += data
        elif self._at == len(self._chunk):
            self._chunk, self._at = data, 0
        else:
            self._keep_rest(PREFIX_SIZE)
            self._buffer += data

    def next_message(self) -> bytes | None:
        """The next message; None: more data is needed. StreamEnded for one that is too large or cannot be decoded."""
        if self._buffer:
            if len(self._buffer) < self._needed:
                return None
            self._chunk, self._at = bytes(self._buffer), 0
            self._buffer.clear()
        chunk, at = self._chunk, self._at
        if len(chunk) - at < PREFIX_SIZE:
            self._keep_rest(PREFIX_SIZE)
            return None
        compressed, length = _PREFIX.unpack_from(chunk, at)
        if length > self._max_size:
            raise StreamEnded(RESOURCE_EXHAUSTED, f"a message of {length} bytes; {self._max_size} are allowed")
        end = at + PREFIX_SIZE + length
        if end > len(chunk):
            self._keep_rest(PREFIX_SIZE + length)
            return None
        self._at = end
        self.handled += PREFIX_SIZE + length
        message = chunk[at + PREFIX_SIZE : end]
        return self._decompress(message) if compressed else message

    def _keep_rest(self, needed: int) -> None:
        self._needed = needed
        if self._at < len(self._chunk):
            self._buffer += self._chunk[self._at :]
        self._chunk, self._at = b"", 0

    def _decompress(self, data: bytes) -> bytes:
        """At most `max_size` bytes, whatever they were compressed to."""
        if self._encoding != b"gzip":
            known = self._encoding == b"identity"
            why = "a compressed message without a grpc-encoding" if known else "the grpc-encoding is not known here"
            raise StreamEnded(INTERNAL if known else UNIMPLEMENTED, f"{why}; gzip and identity are")
        inflate = zlib.decompressobj(_GZIP)
        try:
            message = inflate.decompress(data, self._max_size + 1)
        except zlib.error:
            raise StreamEnded(INTERNAL, "a message that is not gzip, as its flag says") from None
        if len(message) > self._max_size:
            raise StreamEnded(RESOURCE_EXHAUSTED, f"a message above {self._max_size} bytes, decompressed")
        if not inflate.eof or inflate.unused_data:
            raise StreamEnded(INTERNAL, "a message whose gzip ends early, or too late")
        return message

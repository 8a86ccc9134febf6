"""Core: permessage-deflate without context takeover (RFC 7692 §7; docs/promises.md, rows 45-47).

Nothing is kept from one message to the next, so a connection that has negotiated it is no larger, and a push is
compressed once for all receivers with the same window (`gateway.wire.encoding`). A compressor is new for each message:
it costs 1 us more than one that is used again, and a failure within one message cannot leave its bytes to the next.

A message is inflated in steps, and given up at the first byte over its limit, or when its input brings next to nothing.
"""

import zlib
from collections.abc import Iterator
from typing import Annotated

import msgspec
from msgspec import Meta

from gateway.close_codes import CORRUPT_DATA, INVALID_UTF8, MESSAGE_TOO_BIG, CloseCode
from gateway.wire.frames import compressed_frame, message_frame
from gateway.wire.messages import (
    CompressedReceived,
    MessageLimits,
    MessageReceived,
    MessageTooLarge,
    ProtocolViolation,
    is_utf8,
)
from gateway.wire.values import Message, Messages
from runtime.process.setting_types import Bytes

WINDOW_BITS = range(9, 16)  # with which zlib can compress; it has no raw window of 8 bits
MAX_FINAL_BLOCKS = 128  # a message may hold several streams (RFC 7692 §7.2.1); as many as frames, each costs 3 us
STEP_INPUT = 4096  # bytes
STEP_OUTPUT = 64 * 1024  # bytes
EXPANSION = 8  # bytes of input for one of output at most: an encoder that flushes after each byte needs so many

_LARGEST_WINDOW = -zlib.MAX_WBITS  # raw; it inflates what any smaller one has made
_TAIL = b"\x00\x00\xff\xff"  # of each message, not on the wire (RFC 7692 §7.2.1)
_END = _TAIL + b"\x01" + _TAIL  # and a last block, by which a message that was cut shows


CompressionLevel = Annotated[int, Meta(ge=1, le=9)]


class CompressionSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[gateway.compression]`: permessage-deflate (RFC 7692) for clients that offer it."""

    enabled: bool = False  # Accept the offers of clients; else all are declined.
    threshold: Bytes = 1024  # Bytes of a message below which it is sent uncompressed.
    # Level of zlib, 1 is the fastest. A push is compressed on the event loop: 1 MB for 7 ms at level 1, for 25 at 6.
    level: CompressionLevel = 1


class DeflateFraming:
    """A frame per message, compressed where that makes it smaller (a `gateway.wire.ports.Framing`)."""

    def __init__(self, window_bits: int, settings: CompressionSettings, *, always: bool = False) -> None:
        """`always`: compress every message, whatever becomes of it."""
        self._window_bits = window_bits
        self._always = always
        self._threshold = settings.threshold
        self._level = settings.level

    def frame(self, messages: Messages) -> bytes:
        """Each message as one final frame; text must be UTF-8 (RFC 6455 §5.6)."""
        return b"".join(map(self._frame, messages))

    def _frame(self, message: Message) -> bytes:
        if sum(map(len, message.parts)) < self._threshold and not self._always:
            return message_frame(message)
        payload = b"".join(message.parts)
        compressed = self._compress(payload)
        if len(compressed) < len(payload) or self._always:
            return compressed_frame(message.text, compressed)
        return message_frame(message)

    def _compress(self, payload: bytes) -> bytes:
        deflate = zlib.compressobj(self._level, zlib.DEFLATED, -self._window_bits)
        return (deflate.compress(payload) + deflate.flush(zlib.Z_SYNC_FLUSH))[: -len(_TAIL)]


def deflate_framings(settings: CompressionSettings, *, always: bool = False) -> dict[int, DeflateFraming]:
    """By window bits: all that clients can agree on."""
    return {bits: DeflateFraming(bits, settings, always=always) for bits in WINDOW_BITS}


def inflate(
    compressed: CompressedReceived, limits: MessageLimits
) -> MessageReceived | MessageTooLarge | ProtocolViolation:
    """The message in a compressed one, or why there is none. Of one over `max_message` only one byte more is inflated,
    so the size of a MessageTooLarge is the least that it has."""
    parts: list[bytes] = []
    size = 0
    try:
        for part, used in _inflate(compressed.payload, limits.max_message + 1):
            parts.append(part)
            size += len(part)
            if size > limits.max_message:
                return MessageTooLarge(size) if limits.discard else _violation(MESSAGE_TOO_BIG)
            if used > STEP_INPUT + EXPANSION * size:
                return _violation(CORRUPT_DATA)
    except zlib.error:
        return _violation(CORRUPT_DATA)
    payload = b"".join(parts)
    if compressed.text and not payload.isascii() and not is_utf8(payload):
        return _violation(INVALID_UTF8)
    return MessageReceived(compressed.text, payload)


def _inflate(data: bytes, most: int) -> Iterator[tuple[bytes, int]]:
    """At most `most` bytes of what a message holds, in parts, each with the bytes of input so far; zlib.error when it
    is corrupt or was cut. The caller stops when it has that many."""
    stream, streams = zlib.decompressobj(_LARGEST_WINDOW), 1
    for end in range(STEP_INPUT, len(data) + STEP_INPUT, STEP_INPUT):
        pending = data[end - STEP_INPUT : end] + (_END if end >= len(data) else b"")
        more = True
        while more:
            if stream.eof:
                stream, streams = zlib.decompressobj(_LARGEST_WINDOW), streams + 1
            if streams > MAX_FINAL_BLOCKS:
                raise zlib.error("too many streams in one message")
            step = min(STEP_OUTPUT, most)
            part = stream.decompress(pending, step)
            most -= len(part)
            pending = stream.unused_data if stream.eof else stream.unconsumed_tail
            more = bool(pending) or (len(part) == step and not stream.eof)
            yield part, end
    if not stream.eof:
        raise zlib.error("a message that was cut")


def _violation(closing: CloseCode) -> ProtocolViolation:
    return ProtocolViolation(closing.code, closing.reason)

"""Core: field blocks (RFC 7541): the peer's are decoded by the hpack library, ours are literals that need no table."""

import re
from functools import lru_cache
from typing import Final

from hpack import Decoder, HPACKError, OversizedHeaderListError

from runtime.grpc_wire import frames
from runtime.grpc_wire.frames import Frame, Http2Error

HeaderFields = list[tuple[bytes, bytes]]

MAX_BLOCK: Final = 256 * 1024  # bytes of one block, encoded and decoded: what is read so that only its call ends
_MANY_TABLE_SIZES = re.compile(rb"(?:[\x20-\x3e]|\x3f[\x80-\xff]*[\x00-\x7f]){3}")  # RFC 7541 §4.2 allows two
_ONLY_INDEXED = re.compile(rb"[\x80-\xfe]{1,64}")  # RFC 7541 §6.1, each field in one byte
_REMEMBERED: Final = 64  # blocks
_SHORT: Final = 64  # bytes of a value
_TABLE_SIZE_0: Final = b"\x20"  # a dynamic table of size 0 is within any limit of the peer (RFC 7541 §4.2)


class HeaderBlockReader:
    """Joins HEADERS and CONTINUATION. The decoder's table is the connection's, so every block must be decoded."""

    __slots__ = (
        "_block",
        "_decoder",
        "_end_stream",
        "_fields",
        "_indexed",
        "_remembered",
        "_stream",
        "incomplete",
        "remembered",
    )

    def __init__(self) -> None:
        self._decoder = Decoder(MAX_BLOCK)
        self._block = bytearray()
        self._stream = 0
        self._end_stream = False
        self._fields: HeaderFields = []
        self._indexed = b""  # the last block, if it had nothing but indexed fields and so left the table as it was
        self._remembered: dict[bytes, HeaderFields] = {}  # such blocks, as long as the table stays as it is
        self.incomplete = False  # a block has begun and not ended
        self.remembered = False  # the last block was one that `remember` has kept

    def headers(self, frame: Frame) -> tuple[HeaderFields, bool] | None:
        """Read a HEADERS frame: the fields, and whether they end the stream. None: a CONTINUATION must follow."""
        if frame.stream == 0:
            raise Http2Error(frames.PROTOCOL_ERROR, "headers without a stream")
        self._stream, self._block = frame.stream, bytearray()
        self._end_stream = bool(frame.flags & frames.END_STREAM)
        return self._add(frame, frame.content())

    def continuation(self, frame: Frame) -> tuple[HeaderFields, bool] | None:
        """Read a CONTINUATION frame; the result is as that of `headers`."""
        if not self.incomplete or frame.stream != self._stream:
            raise Http2Error(frames.PROTOCOL_ERROR, "a CONTINUATION that continues nothing")
        if not frame.payload and not frame.flags & frames.END_HEADERS:
            raise Http2Error(frames.ENHANCE_YOUR_CALM, "an empty CONTINUATION")
        return self._add(frame, frame.payload)

    def _add(self, frame: Frame, fragment: bytes) -> tuple[HeaderFields, bool] | None:
        self._block += fragment
        if len(self._block) > MAX_BLOCK:
            raise Http2Error(frames.ENHANCE_YOUR_CALM, f"a header block above {MAX_BLOCK} bytes")
        self.incomplete = not frame.flags & frames.END_HEADERS
        if self.incomplete:
            return None
        block, self._block = bytes(self._block), bytearray()
        return self._decode(block), self._end_stream

    def remember(self) -> None:
        """The fields of the last block were accepted: another block of the same bytes need not be looked at again.

        That halves what a unary call costs here: callers send the same fields with every call.
        """
        if self._indexed and len(self._remembered) < _REMEMBERED:
            self._remembered[self._indexed] = self._fields

    def _decode(self, block: bytes) -> HeaderFields:
        fields = self._remembered.get(block)
        self.remembered = fields is not None
        if fields is not None:
            return fields
        self._indexed = block if _ONLY_INDEXED.fullmatch(block) else b""
        if not self._indexed:
            self._remembered.clear()
        if _MANY_TABLE_SIZES.match(block):
            raise Http2Error(frames.COMPRESSION_ERROR, "more than two table sizes at the start of a header block")
        try:
            fields = [(bytes(name), bytes(value)) for name, value in self._decoder.decode(block, raw=True)]
        except OversizedHeaderListError:
            raise Http2Error(frames.ENHANCE_YOUR_CALM, f"headers above {MAX_BLOCK} bytes") from None
        except HPACKError:
            raise Http2Error(frames.COMPRESSION_ERROR, "a header block that is not HPACK") from None
        self._fields = fields
        return fields


def header_list_size(headers: HeaderFields) -> int:
    """Bytes as SETTINGS_MAX_HEADER_LIST_SIZE counts them (RFC 9113 §6.5.2)."""
    return sum(len(name) + len(value) + 32 for name, value in headers)


def encode_headers(headers: HeaderFields) -> bytes:
    """A field block."""
    return _TABLE_SIZE_0 + b"".join([_encode(field) if len(field[1]) < _SHORT else _field(field) for field in headers])


def _field(field: tuple[bytes, bytes]) -> bytes:
    return b"\x00" + _literal(field[0]) + _literal(field[1])


_encode = lru_cache(256)(_field)  # ours are few and always the same, but for tokens, which are long


def _literal(text: bytes) -> bytes:
    """A string literal, not Huffman-coded (RFC 7541 §5.2), its length as an integer with a 7-bit prefix (§5.1)."""
    size = len(text)
    if size < 127:
        return bytes((size,)) + text
    length, size = bytearray((127,)), size - 127
    while size >= 128:
        length.append(size & 0x7F | 0x80)
        size >>= 7
    length.append(size)
    return bytes(length) + text

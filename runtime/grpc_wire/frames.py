"""Core: HTTP/2 frames (RFC 9113 §4, §6): bytes to frames, and the frames that we write."""

from struct import Struct
from typing import Final, NamedTuple

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
HEADER_SIZE: Final = 9  # bytes

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)

END_STREAM: Final = 0x1
ACK: Final = 0x1
END_HEADERS: Final = 0x4
PADDED: Final = 0x8
PRIORITY_FLAG: Final = 0x20

NO_ERROR, PROTOCOL_ERROR, INTERNAL_ERROR, FLOW_CONTROL_ERROR, SETTINGS_TIMEOUT, STREAM_CLOSED = range(6)
FRAME_SIZE_ERROR, REFUSED_STREAM, CANCEL, COMPRESSION_ERROR, CONNECT_ERROR, ENHANCE_YOUR_CALM = range(6, 12)

HEADER_TABLE_SIZE, ENABLE_PUSH, MAX_CONCURRENT_STREAMS, INITIAL_WINDOW_SIZE, MAX_FRAME_SIZE = range(1, 6)
MAX_HEADER_LIST_SIZE: Final = 6
MAX_SETTINGS: Final = 32  # entries of one SETTINGS frame, as in nghttp2; HTTP/2 has six (CVE-2020-11080)

_HEADER = Struct(">IBI")  # length (24 bits) and type, flags, stream
_UINT32 = Struct(">I")
_SETTING = Struct(">HI")


class Http2Error(Exception):
    """A connection error (RFC 9113 §5.4.1): the connection ends with this code."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code


class Frame(NamedTuple):
    """One received frame, its payload with padding and priority."""

    type: int
    flags: int
    stream: int
    payload: bytes

    def content(self) -> bytes:
        """The payload without padding and priority. Http2Error when they do not fit into the payload."""
        payload, start, end = self.payload, 0, len(self.payload)
        if self.flags & PADDED:
            if not payload:
                raise Http2Error(FRAME_SIZE_ERROR, "a padded frame without its pad length")
            start, end = 1, end - payload[0]
        if self.type == HEADERS and self.flags & PRIORITY_FLAG:
            start += 5
        if start > end:
            raise Http2Error(PROTOCOL_ERROR, "a frame of padding only")
        return payload[start:end]


class FrameReader:
    """Cuts the received bytes into frames, however they were split, one at a time."""

    __slots__ = ("_at", "_buffer", "_chunk", "_max_size", "_preface")

    def __init__(self, max_size: int, preface: bytes = b"") -> None:
        """`max_size`: bytes of a payload, our SETTINGS_MAX_FRAME_SIZE. `preface`: what must precede all frames."""
        self._max_size = max_size
        self._preface = preface
        self._chunk = b""  # received bytes, of which those before `_at` are read
        self._at = 0
        self._buffer = bytearray()  # the same, while they are less than one frame

    def feed(self, data: bytes) -> None:
        """Take received bytes. Http2Error for a wrong preface."""
        if self._preface:
            data = self._skip_preface(data)
        if self._buffer:
            self._buffer += data
        elif self._at == len(self._chunk):
            self._chunk, self._at = data, 0
        elif data:
            self._chunk, self._at = self._chunk[self._at :] + data, 0

    def next_frame(self) -> Frame | None:
        """The next frame; None: more bytes are needed. Http2Error for a frame above `max_size`."""
        if self._buffer and not self._take_buffer():
            return None
        chunk, at = self._chunk, self._at
        if len(chunk) - at < HEADER_SIZE:
            self._keep_rest()
            return None
        length_and_type, flags, stream = _HEADER.unpack_from(chunk, at)
        length = length_and_type >> 8
        if length > self._max_size:
            raise Http2Error(FRAME_SIZE_ERROR, f"a frame of {length} bytes; {self._max_size} are allowed")
        end = at + HEADER_SIZE + length
        if end > len(chunk):
            self._keep_rest()
            return None
        self._at = end
        return Frame(length_and_type & 0xFF, flags, stream & 0x7FFFFFFF, chunk[at + HEADER_SIZE : end])

    def _take_buffer(self) -> bool:
        """Go on from the buffer when it has a whole frame, or a header that is refused."""
        size = len(self._buffer)
        if size < HEADER_SIZE:
            return False
        needed = HEADER_SIZE + (_HEADER.unpack_from(self._buffer)[0] >> 8)
        if size < needed <= HEADER_SIZE + self._max_size:
            return False
        self._chunk, self._at = bytes(self._buffer), 0
        self._buffer.clear()
        return True

    def _keep_rest(self) -> None:
        """The rest of the chunk is less than one frame: bytes are added to it without copying it each time."""
        self._buffer += self._chunk[self._at :]
        self._chunk, self._at = b"", 0

    def _skip_preface(self, data: bytes) -> bytes:
        size = min(len(self._preface), len(data))
        if data[:size] != self._preface[:size]:
            raise Http2Error(PROTOCOL_ERROR, "this is not HTTP/2")
        self._preface = self._preface[size:]
        return data[size:]


def frame(type: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """A frame as bytes."""
    return _HEADER.pack(len(payload) << 8 | type, flags, stream) + payload


def frame_header(type: int, flags: int, stream: int, size: int) -> bytes:
    """The header of a frame whose payload, of `size` bytes, is written next."""
    return _HEADER.pack(size << 8 | type, flags, stream)


def header_frames(stream: int, block: bytes, flags: int, max_size: int) -> bytes:
    """HEADERS, and CONTINUATION for what exceeds the peer's maximum frame size. `flags`: END_STREAM or 0."""
    if len(block) <= max_size:
        return frame(HEADERS, flags | END_HEADERS, stream, block)
    parts = [frame(HEADERS, flags, stream, block[:max_size])]
    for at in range(max_size, len(block), max_size):
        last = END_HEADERS if at + max_size >= len(block) else 0
        parts.append(frame(CONTINUATION, last, stream, block[at : at + max_size]))
    return b"".join(parts)


def settings(values: dict[int, int]) -> bytes:
    """A SETTINGS frame."""
    return frame(SETTINGS, 0, 0, b"".join(_SETTING.pack(key, value) for key, value in values.items()))


def window_update(stream: int, increment: int) -> bytes:
    """A WINDOW_UPDATE frame; stream 0 is the connection."""
    return frame(WINDOW_UPDATE, 0, stream, _UINT32.pack(increment))


def rst_stream(stream: int, code: int) -> bytes:
    """An RST_STREAM frame."""
    return frame(RST_STREAM, 0, stream, _UINT32.pack(code))


def goaway(last_stream: int, code: int, debug_data: bytes = b"") -> bytes:
    """A GOAWAY frame: streams above `last_stream` were not processed."""
    return frame(GOAWAY, 0, 0, _UINT32.pack(last_stream) + _UINT32.pack(code) + debug_data)


def read_error_code(received: Frame) -> int:
    """The error code of an RST_STREAM frame. Http2Error for another size."""
    if len(received.payload) != 4:
        raise Http2Error(FRAME_SIZE_ERROR, "an RST_STREAM whose payload is not 4 bytes")
    return int(_UINT32.unpack(received.payload)[0])


def read_increment(received: Frame) -> int:
    """The increment of a WINDOW_UPDATE frame, 31 bits. Http2Error for another size."""
    if len(received.payload) != 4:
        raise Http2Error(FRAME_SIZE_ERROR, "a WINDOW_UPDATE whose payload is not 4 bytes")
    return int(_UINT32.unpack(received.payload)[0]) & 0x7FFFFFFF


def read_settings(received: Frame) -> list[tuple[int, int]]:
    """The values of a SETTINGS frame, in their order. Http2Error for values that RFC 9113 §6.5.2 forbids."""
    if received.stream or len(received.payload) % 6:
        raise Http2Error(PROTOCOL_ERROR if received.stream else FRAME_SIZE_ERROR, "a malformed SETTINGS frame")
    if received.flags & ACK and received.payload:
        raise Http2Error(FRAME_SIZE_ERROR, "an acknowledgement of SETTINGS with a payload")
    if len(received.payload) > 6 * MAX_SETTINGS:
        raise Http2Error(ENHANCE_YOUR_CALM, f"more than {MAX_SETTINGS} entries in one SETTINGS frame")
    values = list(_SETTING.iter_unpack(received.payload))
    for key, value in values:
        if key == INITIAL_WINDOW_SIZE and value > 0x7FFFFFFF:
            raise Http2Error(FLOW_CONTROL_ERROR, f"an initial window of {value} bytes")
        if key == MAX_FRAME_SIZE and not 16384 <= value <= 16777215:
            raise Http2Error(PROTOCOL_ERROR, f"a maximum frame size of {value} bytes")
        if key == ENABLE_PUSH and value > 1:
            raise Http2Error(PROTOCOL_ERROR, f"ENABLE_PUSH is {value}")
    return values


def read_priority(payload: bytes) -> int:
    """The stream that a priority depends on (RFC 7540 §6.3; its scheme is deprecated, its checks remain)."""
    return int(_UINT32.unpack_from(payload)[0]) & 0x7FFFFFFF


def read_goaway(received: Frame) -> tuple[int, int, bytes]:
    """Last stream, error code and debug data of a GOAWAY frame."""
    if received.stream or len(received.payload) < 8:
        raise Http2Error(PROTOCOL_ERROR if received.stream else FRAME_SIZE_ERROR, "a malformed GOAWAY frame")
    last_stream, code = Struct(">II").unpack_from(received.payload)
    return last_stream & 0x7FFFFFFF, code, received.payload[8:]

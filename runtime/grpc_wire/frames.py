"""HTTP/2 frames (RFC 9113 §4, §6): bytes to frames, and the frames that we write.

Only an incomplete frame is kept; the payload of a frame is a slice of the received bytes.
"""

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

_HEADER = Struct(">IBI")  # length (24 bits) and type, flags, stream
_UINT32 = Struct(">I")
_SETTING = Struct(">HI")


class Http2Error(Exception):
    """A connection error (RFC 9113 §5.4.1): the connection ends with this code."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code


class Frame(NamedTuple):
    """One received frame, its payload with padding."""

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
    """Cuts the received bytes into frames, however they were split."""

    __slots__ = ("_buffer", "_max_size", "_preface")

    def __init__(self, max_size: int, preface: bytes = b"") -> None:
        """`max_size`: bytes of a payload, our SETTINGS_MAX_FRAME_SIZE. `preface`: what must precede all frames."""
        self._max_size = max_size
        self._preface = preface
        self._buffer = bytearray()

    def read(self, data: bytes) -> list[Frame]:
        """The frames that `data` completes. Http2Error for a frame above `max_size`."""
        if self._preface:
            data = self._skip_preface(data)
        if self._buffer:
            self._buffer += data
            if len(self._buffer) < HEADER_SIZE:
                return []
            needed = HEADER_SIZE + (_HEADER.unpack_from(self._buffer)[0] >> 8)
            if len(self._buffer) < needed <= HEADER_SIZE + self._max_size:
                return []
            data = bytes(self._buffer)
            self._buffer.clear()
        frames: list[Frame] = []
        at, size = 0, len(data)
        while size - at >= HEADER_SIZE:
            length_and_type, flags, stream = _HEADER.unpack_from(data, at)
            length = length_and_type >> 8
            end = at + HEADER_SIZE + length
            if length > self._max_size:
                raise Http2Error(FRAME_SIZE_ERROR, f"a frame of {length} bytes; {self._max_size} are allowed")
            if end > size:
                break
            frames.append(Frame(length_and_type & 0xFF, flags, stream & 0x7FFFFFFF, data[at + HEADER_SIZE : end]))
            at = end
        if at < size:
            self._buffer += data[at:]
        return frames

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
    values = list(_SETTING.iter_unpack(received.payload))
    for key, value in values:
        if key == INITIAL_WINDOW_SIZE and value > 0x7FFFFFFF:
            raise Http2Error(FLOW_CONTROL_ERROR, f"an initial window of {value} bytes")
        if key == MAX_FRAME_SIZE and not 16384 <= value <= 16777215:
            raise Http2Error(PROTOCOL_ERROR, f"a maximum frame size of {value} bytes")
        if key == ENABLE_PUSH and value > 1:
            raise Http2Error(PROTOCOL_ERROR, f"ENABLE_PUSH is {value}")
    return values


def read_goaway(received: Frame) -> tuple[int, int, bytes]:
    """Last stream, error code and debug data of a GOAWAY frame."""
    if received.stream or len(received.payload) < 8:
        raise Http2Error(PROTOCOL_ERROR if received.stream else FRAME_SIZE_ERROR, "a malformed GOAWAY frame")
    last_stream, code = Struct(">II").unpack_from(received.payload)
    return last_stream & 0x7FFFFFFF, code, received.payload[8:]

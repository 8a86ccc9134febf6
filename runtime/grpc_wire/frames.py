"""HTTP/2 frames (RFC 9113 §4, §6): bytes to frames, and the few frames that we write.

A frame's payload is cut out of what has come, so nothing is kept here but an unfinished frame.
"""

from struct import Struct
from typing import Final, NamedTuple

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
HEAD: Final = 9  # bytes

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)

END_STREAM: Final = 0x1
ACK: Final = 0x1
END_HEADERS: Final = 0x4
PADDED: Final = 0x8
PRIORITISED: Final = 0x20

NO_ERROR, PROTOCOL_ERROR, INTERNAL_ERROR, FLOW_CONTROL_ERROR, SETTINGS_TIMEOUT, STREAM_CLOSED = range(6)
FRAME_SIZE_ERROR, REFUSED_STREAM, CANCEL, COMPRESSION_ERROR, CONNECT_ERROR, ENHANCE_YOUR_CALM = range(6, 12)

HEADER_TABLE_SIZE, ENABLE_PUSH, MAX_CONCURRENT_STREAMS, INITIAL_WINDOW_SIZE, MAX_FRAME_SIZE = range(1, 6)

_HEAD = Struct(">IBI")  # length (24 bits) and type, flags, stream
_WORD = Struct(">I")
_SETTING = Struct(">HI")


class Http2Error(Exception):
    """The peer broke HTTP/2: the connection ends with this code (RFC 9113 §7)."""

    def __init__(self, code: int, why: str) -> None:
        super().__init__(why)
        self.code = code


class Frame(NamedTuple):
    """One frame as it came; padding is still in it."""

    kind: int
    flags: int
    stream: int
    payload: bytes

    def content(self) -> bytes:
        """The payload without padding and priority. Raises Violation where they do not fit into it."""
        payload, start, end = self.payload, 0, len(self.payload)
        if self.flags & PADDED:
            if not payload:
                raise Http2Error(FRAME_SIZE_ERROR, "a padded frame without its pad length")
            start, end = 1, end - payload[0]
        if self.kind == HEADERS and self.flags & PRIORITISED:
            start += 5
        if start > end:
            raise Http2Error(PROTOCOL_ERROR, "a frame of padding only")
        return payload[start:end]


class FrameReader:
    """Cuts what comes into frames, however it was split on its way."""

    __slots__ = ("_largest", "_preface", "_rest")

    def __init__(self, largest: int, preface: bytes = b"") -> None:
        self._largest = largest  # bytes of payload: our SETTINGS_MAX_FRAME_SIZE
        self._preface = preface  # what must come before any frame
        self._rest = bytearray()

    def read(self, data: bytes) -> list[Frame]:
        """The frames that `data` completes. Raises Violation for one that is larger than we allow."""
        if self._preface:
            data = self._past_preface(data)
        if self._rest:
            self._rest += data
            if len(self._rest) < HEAD:
                return []
            wanted = HEAD + (_HEAD.unpack_from(self._rest)[0] >> 8)
            if len(self._rest) < wanted <= HEAD + self._largest:
                return []
            data = bytes(self._rest)
            self._rest.clear()
        frames: list[Frame] = []
        at, size = 0, len(data)
        while size - at >= HEAD:
            word, flags, stream = _HEAD.unpack_from(data, at)
            end = at + HEAD + (word >> 8)
            if (word >> 8) > self._largest:
                raise Http2Error(FRAME_SIZE_ERROR, f"a frame of {word >> 8} bytes; {self._largest} are allowed")
            if end > size:
                break
            frames.append(Frame(word & 0xFF, flags, stream & 0x7FFFFFFF, data[at + HEAD : end]))
            at = end
        if at < size:
            self._rest += data[at:]
        return frames

    def _past_preface(self, data: bytes) -> bytes:
        size = min(len(self._preface), len(data))
        if data[:size] != self._preface[:size]:
            raise Http2Error(PROTOCOL_ERROR, "this is not HTTP/2")
        self._preface = self._preface[size:]
        return data[size:]


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """One frame as bytes."""
    return _HEAD.pack(len(payload) << 8 | kind, flags, stream) + payload


def head(kind: int, flags: int, stream: int, size: int) -> bytes:
    """The head of a frame whose payload of `size` bytes is written behind it."""
    return _HEAD.pack(size << 8 | kind, flags, stream)


def settings(values: dict[int, int]) -> bytes:
    """A SETTINGS frame."""
    return frame(SETTINGS, 0, 0, b"".join(_SETTING.pack(key, value) for key, value in values.items()))


def window_update(stream: int, more: int) -> bytes:
    """A WINDOW_UPDATE frame; stream 0 is the connection."""
    return frame(WINDOW_UPDATE, 0, stream, _WORD.pack(more))


def reset(stream: int, code: int) -> bytes:
    """An RST_STREAM frame."""
    return frame(RST_STREAM, 0, stream, _WORD.pack(code))


def goaway(last: int, code: int, why: bytes = b"") -> bytes:
    """A GOAWAY frame: streams above `last` were not looked at."""
    return frame(GOAWAY, 0, 0, _WORD.pack(last) + _WORD.pack(code) + why)


def read_word(found: Frame) -> int:
    """The 31 bits of a WINDOW_UPDATE, or the 32 of an RST_STREAM. Raises Violation for another size."""
    if len(found.payload) != 4:
        raise Http2Error(FRAME_SIZE_ERROR, "a frame whose payload is not 4 bytes")
    word = int(_WORD.unpack(found.payload)[0])
    return word if found.kind == RST_STREAM else word & 0x7FFFFFFF


def read_settings(found: Frame) -> list[tuple[int, int]]:
    """What a SETTINGS frame says, in its order. Raises Violation for values that RFC 9113 §6.5.2 forbids."""
    if found.stream or len(found.payload) % 6:
        raise Http2Error(PROTOCOL_ERROR if found.stream else FRAME_SIZE_ERROR, "a malformed SETTINGS frame")
    if found.flags & ACK and found.payload:
        raise Http2Error(FRAME_SIZE_ERROR, "an acknowledgement of SETTINGS with a payload")
    values = list(_SETTING.iter_unpack(found.payload))
    for key, value in values:
        if key == INITIAL_WINDOW_SIZE and value > 0x7FFFFFFF:
            raise Http2Error(FLOW_CONTROL_ERROR, f"an initial window of {value} bytes")
        if key == MAX_FRAME_SIZE and not 16384 <= value <= 16777215:
            raise Http2Error(PROTOCOL_ERROR, f"a largest frame of {value} bytes")
        if key == ENABLE_PUSH and value > 1:
            raise Http2Error(PROTOCOL_ERROR, f"ENABLE_PUSH is {value}")
    return values


def read_goaway(found: Frame) -> tuple[int, int, bytes]:
    """Last stream, code and text of a GOAWAY frame."""
    if found.stream or len(found.payload) < 8:
        raise Http2Error(PROTOCOL_ERROR if found.stream else FRAME_SIZE_ERROR, "a malformed GOAWAY frame")
    last, code = Struct(">II").unpack_from(found.payload)
    return last & 0x7FFFFFFF, code, found.payload[8:]

"""Header blocks (RFC 7541): the peer's through the hpack library, ours as literals that need no table."""

from typing import Final

from hpack import Decoder, HPACKError, OversizedHeaderListError

from runtime.grpc_wire import frames
from runtime.grpc_wire.frames import Frame, Http2Error

Headers = list[tuple[bytes, bytes]]

LARGEST: Final = 64 * 1024  # bytes of one block, and of what it becomes
_NO_TABLE: Final = b"\x20"  # a dynamic table of size 0 fits into whatever the peer allows (§4.2)


class BlockReader:
    """Gathers HEADERS and CONTINUATION; the decoder's table belongs to the connection, so every block is decoded."""

    __slots__ = ("_block", "_decoder", "_ended", "_stream", "open")

    def __init__(self) -> None:
        self._decoder = Decoder(LARGEST)
        self._block = b""
        self._stream = 0
        self._ended = False
        self.open = False  # a block has begun and is not finished

    def begin(self, frame: Frame) -> tuple[Headers, bool] | None:
        """A HEADERS frame: the headers and whether the stream ends with them; None while more must come."""
        if frame.stream == 0:
            raise Http2Error(frames.PROTOCOL_ERROR, "headers without a stream")
        self._stream, self._block = frame.stream, b""
        self._ended = bool(frame.flags & frames.END_STREAM)
        return self._add(frame, frame.content())

    def go_on(self, frame: Frame) -> tuple[Headers, bool] | None:
        """A CONTINUATION frame."""
        if not self.open or frame.stream != self._stream:
            raise Http2Error(frames.PROTOCOL_ERROR, "a CONTINUATION that continues nothing")
        if not frame.payload and not frame.flags & frames.END_HEADERS:
            raise Http2Error(frames.ENHANCE_YOUR_CALM, "an empty CONTINUATION")
        return self._add(frame, frame.payload)

    def _add(self, frame: Frame, content: bytes) -> tuple[Headers, bool] | None:
        self._block += content
        if len(self._block) > LARGEST:
            raise Http2Error(frames.ENHANCE_YOUR_CALM, f"a header block above {LARGEST} bytes")
        self.open = not frame.flags & frames.END_HEADERS
        if self.open:
            return None
        try:
            headers = [(bytes(name), bytes(value)) for name, value in self._decoder.decode(self._block, raw=True)]
        except OversizedHeaderListError:
            raise Http2Error(frames.ENHANCE_YOUR_CALM, f"headers above {LARGEST} bytes") from None
        except HPACKError as error:
            raise Http2Error(frames.COMPRESSION_ERROR, str(error)) from None
        return headers, self._ended


def encode(headers: Headers) -> bytes:
    """A header block."""
    return _NO_TABLE + b"".join(b"\x00" + _text(name) + _text(value) for name, value in headers)


def _text(text: bytes) -> bytes:
    size = len(text)
    if size < 127:
        return bytes((size,)) + text
    head, size = bytearray((127,)), size - 127
    while size >= 128:
        head.append(size & 0x7F | 0x80)
        size >>= 7
    head.append(size)
    return bytes(head) + text

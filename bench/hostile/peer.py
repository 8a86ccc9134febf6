"""A raw HTTP/2 connection: it writes any bytes, and notes what the server does. Nothing waits longer than its limit."""

import contextlib
import select
import socket
import time
from collections import Counter
from collections.abc import Callable, Sequence

from hpack import Decoder, HPACKError

from bench.hostile import frames

HOST = "127.0.0.1"
READ_BYTES = 1 << 18
MAX_FRAME = 16384  # bytes, what we announce: a larger frame of the server is a fault
LARGE_WINDOW = 1 << 30
KEPT_RESPONSES = 2000  # streams whose headers are kept


class Peer:
    """A client's connection. After `closed` every write is refused."""

    def __init__(self, port: int, window: int = LARGE_WINDOW, handshake: bool = True) -> None:
        """`window`: INITIAL_WINDOW_SIZE. Without `handshake` nothing is written."""
        self.goaway: int | None = None
        self.closed = False
        self.resets: Counter[int] = Counter()
        self.responses: dict[int, dict[str, str]] = {}
        self.ended: set[int] = set()
        self.pongs = self.acknowledgements = self.sent = self.received = self.largest = 0
        self.max_streams, self.max_frame, self.initial_window = 1 << 31, 16384, 65535
        self.connection_window = 65535
        self.windows: Counter[int] = Counter()  # beyond the initial one, by stream
        self._decoder = Decoder(1 << 26)
        self._buffer = bytearray()
        self._block: tuple[int, int, bytes] = (0, 0, b"")
        self._socket = socket.create_connection((HOST, port), 10)
        self._socket.setblocking(False)
        self._poll = select.poll()
        if handshake:
            self._handshake(window)

    def _handshake(self, window: int) -> None:
        entries = [(frames.ENABLE_PUSH, 0), (frames.INITIAL_WINDOW_SIZE, window)]
        opening = frames.PREFACE + frames.settings(entries) + frames.window_update(0, LARGE_WINDOW)
        self.write(opening + frames.frame(frames.SETTINGS, frames.ACK, 0), 5)
        self.read(5, lambda: self.acknowledgements > 0)
        self.sent = 0

    @property
    def streams(self) -> int:
        """How many streams may be open, 1,000 at most."""
        return min(1000, self.max_streams)

    def write(self, data: bytes, seconds: float, reads: bool = True) -> bool:
        """Write all, and read meanwhile. False: closed, or not taken in time."""
        until, view = time.monotonic() + seconds, memoryview(data)
        while view and not self.closed and (left := until - time.monotonic()) > 0:
            try:
                size = self._socket.send(view)
                view = view[size:]
                self.sent += size
            except BlockingIOError:
                self._wait(left, select.POLLOUT | (select.POLLIN if reads else 0))
            except OSError:
                self._read_rest()
            if reads:
                self._receive()
        return not view

    def read(self, seconds: float, done: Callable[[], bool] = lambda: False) -> bool:
        """Read until `done`, the end of the connection, or for so long. The result: whether it is done."""
        until = time.monotonic() + seconds
        while not done() and not self.closed and (left := until - time.monotonic()) > 0:
            self._wait(left, select.POLLIN)
            self._receive()
        return done()

    def ping(self, seconds: float) -> bool:
        """Whether the server answers everything so far in time."""
        pongs = self.pongs
        self.write(frames.frame(frames.PING, 0, 0, b"hostile!"), seconds)
        return self.read(seconds, lambda: self.pongs > pongs)

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def _wait(self, seconds: float, events: int) -> None:
        self._poll.register(self._socket, events)
        self._poll.poll(max(1, seconds * 1000))

    def _receive(self) -> None:
        try:
            data = self._socket.recv(READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        self.received += len(data)
        self.closed = self.closed or not data
        self._buffer += data
        self._read_frames()

    def _read_rest(self) -> None:
        """The server has closed: its last words may be here."""
        while not self.closed:
            self._receive()

    def _read_frames(self) -> None:
        at, buffer = 0, self._buffer
        while len(buffer) - at >= 9:
            word, flags, stream = frames.HEADER.unpack_from(buffer, at)
            end = at + 9 + (word >> 8)
            if end > len(buffer):
                break
            self.largest = max(self.largest, word >> 8)
            self._on_frame(word & 0xFF, flags, stream, bytes(buffer[at + 9 : end]))
            at = end
        del buffer[:at]

    def _on_frame(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        ends = kind == frames.RST_STREAM or (kind in (frames.HEADERS, frames.DATA) and flags & frames.END_STREAM)
        if ends and len(self.ended) < KEPT_RESPONSES:
            self.ended.add(stream)
        if kind in (frames.HEADERS, frames.CONTINUATION):
            self._on_headers(flags, stream, payload)
        elif kind == frames.RST_STREAM:
            self.resets[int.from_bytes(payload, "big")] += 1
        elif kind == frames.GOAWAY:
            self.goaway = int.from_bytes(payload[4:8], "big")
        elif kind == frames.PING and flags & frames.ACK:
            self.pongs += 1
        elif kind == frames.WINDOW_UPDATE:
            self._on_window(stream, int.from_bytes(payload, "big"))
        elif kind == frames.SETTINGS:
            self._on_settings(flags, payload)

    def _on_settings(self, flags: int, payload: bytes) -> None:
        if flags & frames.ACK:
            self.acknowledgements += 1
        for at in range(0, len(payload), 6):
            key, value = int.from_bytes(payload[at : at + 2], "big"), int.from_bytes(payload[at + 2 : at + 6], "big")
            if key == frames.MAX_CONCURRENT_STREAMS:
                self.max_streams = value
            elif key == frames.INITIAL_WINDOW_SIZE:
                self.initial_window = value
            elif key == frames.MAX_FRAME_SIZE:
                self.max_frame = value

    def _on_window(self, stream: int, increment: int) -> None:
        if stream:
            self.windows[stream] += increment
        else:
            self.connection_window += increment

    def _on_headers(self, flags: int, stream: int, payload: bytes) -> None:
        self._block = (stream, flags, self._block[2] + payload)
        if not flags & frames.END_HEADERS:
            return
        encoded, self._block = self._block[2], (0, 0, b"")
        with contextlib.suppress(HPACKError, UnicodeDecodeError):
            found = {str(name): str(value) for name, value in self._decoder.decode(encoded)}
            if len(self.responses) < KEPT_RESPONSES or stream in self.responses:
                self.responses.setdefault(stream, {}).update(found)

    # What the server has done

    def outcome(self) -> str:
        """In words: how the connection stands, and the resets."""
        parts = [self.connection_state()]
        parts += [f"RST {frames.error_name(code)} x{count:,}" for code, count in sorted(self.resets.items())]
        if self.largest > MAX_FRAME:
            parts.append(f"a frame of {self.largest:,} bytes")
        return ", ".join(parts)

    def connection_state(self) -> str:
        """GOAWAY with its code, closed, or open."""
        if self.goaway is not None:
            return f"GOAWAY {frames.error_name(self.goaway)}"
        return "closed" if self.closed else "open"

    def available(self, stream: int) -> int:
        """Bytes that the windows allow on this stream."""
        return max(0, min(self.initial_window + self.windows[stream], self.connection_window))

    def send_data(self, stream: int, data: bytes, seconds: float = 5.0) -> int:
        """Send as much of `data` as the windows allow. The result: how much."""
        available = min(self.available(stream), len(data))
        sent = b"".join(
            frames.frame(frames.DATA, 0, stream, data[at : min(at + MAX_FRAME, available)])
            for at in range(0, available, MAX_FRAME)
        )
        self.windows[stream] -= available
        self.connection_window -= available
        self.write(sent, seconds)
        return available


def opened(port: int, count: int, path: str, window: int = LARGE_WINDOW) -> tuple[Peer, Sequence[int]]:
    """A connection with so many open streams, or as many as may be open; the last number is free for one more."""
    peer = Peer(port, window)
    streams = range(1, 2 * min(count, peer.streams - 1), 2)
    fields = frames.request_fields(path)
    peer.write(b"".join(frames.headers(stream, fields) for stream in streams), 10)
    return peer, streams

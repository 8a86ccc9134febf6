"""Shell: one HTTP request on its connection, from the end of its head to the end of its answer.

A connection that may be kept is given back to the door for its next request.
"""

import asyncio
import time
from collections.abc import Callable

from gateway.door.head import Head
from gateway.door.ports import PendingRequest
from gateway.engineio.answers import JSON, TEXT, answer, cors_headers, error_body
from gateway.engineio.requests import LATE, NO_LENGTH, TOO_LARGE, EngineError
from gateway.wire.uploads import UploadRules

LINGER_SECONDS = 1.0  # for a refused client to read its answer
MAX_BEHIND = 64 * 1024  # bytes behind the request; while there are more nothing is read
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"

Headers = tuple[tuple[str, str], ...]


def ignore_lost() -> None:
    """Nobody waits for this answer."""


class HttpExchange(asyncio.Protocol):
    """One request. Answered exactly once; `on_lost` is called when the client is gone before its answer is written."""

    __slots__ = (
        "_arrived",
        "_behind",
        "_blocked",
        "_done",
        "_keep",
        "_missing",
        "_on_body",
        "_on_written",
        "_request",
        "_rules",
        "_transport",
        "head",
        "on_lost",
    )

    def __init__(
        self, request: PendingRequest, transport: asyncio.Transport, head: Head, behind: bytes, rules: UploadRules
    ) -> None:
        self.head = head
        self.on_lost: Callable[[], None] = ignore_lost
        self._request = request
        self._transport = transport
        self._rules = rules
        self._keep = bool(head.minor) and "close" not in map(str.lower, head.tokens("connection"))
        self._behind = behind
        self._on_body: Callable[[bytes], None] | None = None  # while the body is read
        self._arrived: list[bytes] = []  # parts of the body
        self._missing = int(head.headers.get("content-length", "0"))  # bytes of the body
        self._on_written: Callable[[], None] | None = None
        self._blocked = False  # the kernel has not taken everything
        self._done = False  # answered
        transport.set_write_buffer_limits(high=1, low=0)
        transport.set_protocol(self)
        transport.resume_reading()

    # The body -------------------------------------------------------------------------------------------------------

    def read_body(self, on_body: Callable[[bytes], None]) -> None:
        """Call `on_body` with the whole body; what is wrong with it is answered here."""
        if "transfer-encoding" in self.head.headers:
            self.refuse(NO_LENGTH)
            return
        if self._missing > self._rules.limits.max_message:
            self.refuse(TOO_LARGE)
            return
        if "100-continue" in map(str.lower, self.head.tokens("expect")):
            self._transport.write(CONTINUE)
        self._on_body = on_body
        self._rules.watch(self, self._rules.limits.seconds)
        behind, self._behind = self._behind, b""
        self._take(behind)

    def _take(self, data: bytes) -> None:
        body, self._behind = data[: self._missing], data[self._missing :]
        self._missing -= len(body)
        if body:
            self._arrived.append(body)
        if self._missing:
            self._rules.unfinished.update(self, sum(map(len, self._arrived)))
            return
        self._rules.unfinished.update(self, 0)
        on_body, self._on_body = self._on_body, None
        whole, self._arrived = b"".join(self._arrived), []
        if on_body is not None:
            on_body(whole)

    def on_deadline(self) -> None:
        """Time is up for the body, if it is not complete."""
        if self._on_body is not None:
            self.refuse(LATE)

    def hold_upload(self) -> None:
        """The node's budget for unfinished messages is full."""
        self._transport.pause_reading()

    def continue_upload(self) -> None:
        if not self._transport.is_closing():
            self._transport.resume_reading()

    # The answer -----------------------------------------------------------------------------------------------------

    def refuse(self, error: EngineError) -> None:
        """Answer with an error, and end the connection."""
        self._keep = False
        self.reply(error.status, error_body(error), JSON, error.headers)

    def reply(
        self,
        status: int,
        body: bytes,
        content_type: str = TEXT,
        headers: Headers = (),
        on_written: Callable[[], None] | None = None,
    ) -> bool:
        """Answer. True: the kernel has all of it; else `on_written` follows, or `on_lost`."""
        if self._done or self._transport.is_closing():
            return False
        self._done = True
        self._stop_body()
        keep = ("Connection", "keep-alive" if self._keep else "close")
        headers = (*headers, *cors_headers(self.head), keep)
        self._transport.write(answer(status, body, content_type, headers, time.time()))
        if self._blocked:
            self._on_written = on_written
            return False
        self._finish()
        return True

    def _stop_body(self) -> None:
        self._on_body = None
        self._arrived = []
        self._rules.unfinished.update(self, 0)

    def _finish(self) -> None:
        """The kernel has the answer: the connection goes on, or ends."""
        self.on_lost = ignore_lost
        if self._keep:
            self._request.follow(self._transport, self._behind)
        elif self._transport.can_write_eof():  # what the client still sends is read and dropped for a moment
            self._transport.write_eof()
            asyncio.get_running_loop().call_later(LINGER_SECONDS, self._transport.abort)
        else:
            self._transport.close()

    # From the socket (asyncio.Protocol) -----------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        if self._on_body is not None:
            self._take(data)
        elif not self._done or self._keep:
            self._behind += data
            if len(self._behind) > MAX_BEHIND:
                self._transport.pause_reading()

    def pause_writing(self) -> None:
        self._blocked = True

    def resume_writing(self) -> None:
        self._blocked = False
        if self._done:
            on_written, self._on_written = self._on_written, None
            self._finish()
            if on_written is not None:
                on_written()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_body()
        self._done = True
        on_lost, self.on_lost, self._on_written = self.on_lost, ignore_lost, None
        on_lost()

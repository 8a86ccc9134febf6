"""TLS between bytes and bytes, by the standard library's `ssl` without a socket.

OpenSSL reads and writes in memory here. A memory BIO keeps the largest size it ever had, so one of each direction
serves all connections of the process: whatever a call brings in is consumed, and whatever it puts out is taken, before
it returns. OpenSSL keeps an incomplete record itself, and gives its buffers back between records, as Python asks it to
(SSL_MODE_RELEASE_BUFFERS). A connection so costs its SSL object, about 15 KB, whatever has passed over it
(docs/decisions/0015-tls-on-shared-buffers.md).
"""

import contextlib
import ssl
from typing import NamedTuple

RECORD = 16 * 1024  # bytes of plain text in one record at most (RFC 8446 §5.1)
OVERHEAD = 16  # bytes from the wire for one of plain text: records of two bytes need twelve, a pong six
MAX_EXCESS = 64 * 1024  # bytes beyond that
HANDSHAKE_RECORD = 22  # a TLS connection's first byte (RFC 8446 §5.1)
ALERT = bytes((21, 3, 1, 0, 2, 2, 40))  # fatal handshake_failure, for who speaks TLS to a port that does not (§6)


class TlsError(Exception):
    """The peer's bytes are no TLS that can be accepted. `alert`: what to send before the end, maybe nothing. `plain`:
    what came before the first bad record."""

    def __init__(self, reason: str, alert: bytes = b"", plain: bytes = b"") -> None:
        super().__init__(reason)
        self.alert = alert
        self.plain = plain


class TlsBuffers:
    """The two memory BIOs of a process. Empty between any two calls of its sessions."""

    def __init__(self) -> None:
        self.incoming = ssl.MemoryBIO()
        self.outgoing = ssl.MemoryBIO()


class Received(NamedTuple):
    """What came of received bytes."""

    plain: bytes
    answer: bytes  # to send: of the handshake, of a key update
    ended: bool = False  # the peer has sent close_notify: nothing more follows


class TlsSession:
    """One connection's side of TLS. Not usable after a TlsError."""

    __slots__ = ("_buffers", "_excess", "_ssl", "established")

    def __init__(self, buffers: TlsBuffers, context: ssl.SSLContext) -> None:
        self._buffers = buffers
        self._ssl = context.wrap_bio(buffers.incoming, buffers.outgoing, server_side=True)
        self._excess = 0  # bytes from the wire beyond OVERHEAD for each of plain text, since the handshake
        self.established = False  # the handshake is complete

    def receive(self, data: bytes) -> Received:
        """Take bytes from the wire, cut in any way. TlsError: the connection cannot go on."""
        incoming, outgoing = self._buffers.incoming, self._buffers.outgoing
        plain: list[bytes] = []
        ended, established = False, self.established
        try:
            for start in range(0, len(data), RECORD):
                incoming.write(data[start : start + RECORD] if len(data) > RECORD else data)
                if self._consume(plain):
                    ended = True
                    break
        except ssl.SSLError as error:
            raise TlsError(_reason(error), outgoing.read(), b"".join(plain)) from None
        finally:
            if incoming.pending:
                incoming.read()
        answer = outgoing.read() if outgoing.pending else b""
        whole = plain[0] if len(plain) == 1 else b"".join(plain)
        if established:
            self._count(len(data), len(whole))
        return Received(whole, answer, ended)

    def _count(self, wire: int, plain: int) -> None:
        """Each record costs, and one that changes a key (RFC 8446 §4.6.3) brings nothing at all: who sends next to
        nothing but overhead is not served."""
        self._excess = max(0, self._excess + wire - OVERHEAD * plain)
        if self._excess > MAX_EXCESS:
            raise TlsError("too many records with next to no data in them")

    def _consume(self, plain: list[bytes]) -> bool:
        """Read records until OpenSSL has taken everything; an incomplete one is kept by itself. True: the last one was
        close_notify."""
        incoming, connection = self._buffers.incoming, self._ssl
        try:
            if not self.established:
                connection.do_handshake()
                self.established = True
            while incoming.pending or connection.pending():
                if not (read := connection.read(RECORD)):
                    return True
                plain.append(read)
        except ssl.SSLWantReadError:
            pass
        return False

    def send(self, plain: bytes) -> bytes:
        """Plain text as records. Only when established."""
        try:
            if len(plain) <= RECORD:
                self._ssl.write(plain)
            else:
                view = memoryview(plain)
                for start in range(0, len(plain), RECORD):
                    self._ssl.write(view[start : start + RECORD])
        except BaseException:
            self._buffers.outgoing.read()  # or the next connection would send it
            raise
        return self._buffers.outgoing.read()

    def close(self) -> bytes:
        """The close_notify that ends this side."""
        with contextlib.suppress(ssl.SSLError):  # the peer's is awaited, or the handshake is not complete
            self._ssl.unwrap()
        return self._buffers.outgoing.read()

    def client_certificate(self) -> bytes | None:
        """The client's certificate in DER, verified; None: it has none."""
        return self._ssl.getpeercert(binary_form=True)


def _reason(error: ssl.SSLError) -> str:
    """OpenSSL's own words in lower case, such as "no shared cipher"."""
    return (error.reason or str(error)).replace("_", " ").lower()

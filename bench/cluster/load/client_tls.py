"""TLS of a load client, at minimal cost: all clients of a process share two memory BIOs, as a gateway's connections do.

Whatever a call brings in is consumed, and whatever it puts out is taken, before it returns.
"""

import ssl
from typing import Any


class ClientTlsContext:
    """What all clients of a process share. `resume`: each handshake but the first ones resumes a session."""

    def __init__(self, ca: str, resume: bool) -> None:
        """`ca`: the PEM file of the gateways' certificate."""
        self.context = ssl.create_default_context(cafile=ca)
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._resume = resume
        self._sessions: dict[tuple[str, int], Any] = {}  # ssl.SSLSession by address

    def session_of(self, address: tuple[str, int]) -> Any:  # noqa: ANN401 - an ssl.SSLSession, or None
        """The session to resume at this address; None: a full handshake."""
        return self._sessions.get(address)

    def keep(self, address: tuple[str, int], connection: ssl.SSLObject) -> None:
        """The server may have sent a ticket."""
        if self._resume and address not in self._sessions and (session := connection.session) and session.has_ticket:
            self._sessions[address] = session


class ClientTls:
    """One client's side of TLS, to the gateway at this address."""

    __slots__ = ("_address", "_shared", "_ssl", "established", "resumed")

    def __init__(self, shared: ClientTlsContext, address: tuple[str, int]) -> None:
        self._shared = shared
        self._address = address
        session = shared.session_of(address)
        self._ssl = shared.context.wrap_bio(
            shared.incoming, shared.outgoing, server_hostname=address[0], session=session
        )
        self.established = False
        self.resumed = False

    def begin(self) -> bytes:
        """The first bytes to send."""
        return self.receive(b"")[1]

    def receive(self, data: bytes) -> tuple[bytes, bytes]:
        """Plain text and the bytes to send, for bytes from the wire. ssl.SSLError: the connection cannot go on."""
        shared, plain = self._shared, b""
        shared.incoming.write(data)
        try:
            if not self.established:
                self._ssl.do_handshake()
                self.established = True
                self.resumed = bool(self._ssl.session_reused)
            while read := self._ssl.read(65_536):
                plain += read
        except ssl.SSLWantReadError:
            pass
        finally:
            shared.incoming.read()
        if plain:
            shared.keep(self._address, self._ssl)
        return plain, shared.outgoing.read()

    def send(self, plain: bytes) -> bytes:
        """Plain text as records."""
        self._ssl.write(plain)
        return self._shared.outgoing.read()

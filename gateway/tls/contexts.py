"""Shell: the contexts that new connections take, and their rotation.

New files are read, judged and loaded into contexts of their own; only when all of them are good do new connections take
those. Open connections keep what they have.
"""

import datetime as dt
import logging
import ssl
from collections.abc import Callable
from pathlib import Path

from gateway.identity.identity import Identity
from gateway.tls.certificates import Pair, identity_of, load_ca, matches, read_pair
from gateway.tls.records import TlsBuffers
from gateway.tls.settings import TlsSection
from runtime.process.configuration import ConfigurationError

CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"  # of TLS 1.2: forward secrecy and AEAD; those of 1.3 have no others
SOON = dt.timedelta(days=7)  # before a certificate's end, from which on it is warned of

log = logging.getLogger(__name__)


class Certificates:
    """The certificates of one gateway, as files have them."""

    def __init__(self, section: TlsSection, now: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC)) -> None:
        """ConfigurationError: a file cannot be read, or what it holds cannot be used."""
        self.buffers = TlsBuffers()
        self._section = section
        self._now = now
        self._seen = self._stamps()
        self.context = self._load()

    def identity(self, certificate: bytes | None) -> Identity | None:
        """Who a client is by its certificate, in DER; None: it has none, or none that names a user."""
        clients = self._section.clients
        return identity_of(certificate, clients.auth_type, clients.files) if certificate else None

    def reload(self) -> bool:
        """Take what the files hold now, if all of it is good; else what was good stays, and the log says why."""
        self._seen = self._stamps()
        try:
            self.context = self._load()
        except ConfigurationError as error:
            log.error("certificates are not changed, the old ones stay in use: %s", error)
            return False
        log.info("certificates were read again; new connections have them")
        return True

    def reload_if_changed(self) -> bool:
        """Reload when a file was changed since it was read last."""
        return self._stamps() != self._seen and self.reload()

    def _load(self) -> ssl.SSLContext:
        section, now = self._section, self._now()
        first = read_pair("gateway.tls", section.cert_file, section.key_file, now)
        others = [
            read_pair(f"gateway.tls.certificates.{name}", one.cert_file, one.key_file, now)
            for name, one in section.certificates.items()
        ]
        for pair in (first, *others):
            if pair.ends - now < SOON:
                log.warning("%s is over on %s; renew it", pair.cert_file, f"{pair.ends:%Y-%m-%d %H:%M} UTC")
        context = self._context(first)
        context.sni_callback = _choose([(pair.names, self._context(pair)) for pair in others], first.names)
        return context

    def _context(self, pair: Pair) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
        context.set_ciphers(CIPHERS)
        context.set_alpn_protocols(["http/1.1"])
        context.num_tickets = 1  # a WebSocket client opens one connection at a time
        clients = self._section.clients
        if clients.ca_file:
            load_ca(context, "gateway.tls.clients.ca_file", clients.ca_file)
            context.verify_mode = ssl.CERT_REQUIRED if clients.required else ssl.CERT_OPTIONAL
        try:
            context.load_cert_chain(pair.cert_file, pair.key_file)
        except (ssl.SSLError, OSError) as error:  # a file has changed meanwhile, or OpenSSL finds the key too weak
            raise ConfigurationError(f"{pair.setting}.cert_file: {pair.cert_file} cannot be used: {error}") from None
        return context

    def _stamps(self) -> list[tuple[int, int, int] | None]:
        """What changes when a file does, also behind a symbolic link, as Kubernetes replaces secrets."""
        return [_stamp(path) for path in self._files()]

    def _files(self) -> list[str]:
        section = self._section
        pairs = [(section.cert_file, section.key_file)]
        pairs += [(one.cert_file, one.key_file) for one in section.certificates.values()]
        return [path for path in (*(path for pair in pairs for path in pair), section.clients.ca_file) if path]


def _stamp(path: str) -> tuple[int, int, int] | None:
    try:
        found = Path(path).stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino, found.st_size


def _choose(
    others: list[tuple[frozenset[str], ssl.SSLContext]], first: frozenset[str]
) -> Callable[[ssl.SSLObject | ssl.SSLSocket, str | None, ssl.SSLContext], int | None]:
    """Takes the certificate for the name that a client says (RFC 6066 §3). Without a name, the first one; a name that
    none of several has is refused. With one certificate the client judges for itself."""

    def choose(connection: ssl.SSLObject | ssl.SSLSocket, name: str | None, _context: ssl.SSLContext) -> int | None:
        if not name or not others or matches(first, name):
            return None
        for names, context in others:
            if matches(names, name):
                connection.context = context
                return None
        return ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME

    return choose

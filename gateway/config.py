"""A gateway's configuration: small frozen structs, a sentence a field. Durations are seconds, sizes are bytes."""

import ipaddress
import os
import secrets
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from gateway.delivery.dedup import DedupSettings
from gateway.door.proxies import ProxySettings
from gateway.identity import keys
from gateway.identity.tokens import Issuer, Tokens
from gateway.sessions.budget import Budget
from gateway.sessions.heartbeat import HeartbeatSettings
from gateway.sessions.rates import LimitSettings
from gateway.socketio.settings import SocketIoSettings
from gateway.tls.settings import TlsSection
from gateway.views.port import ViewSettings
from gateway.wire.deflate import CompressionSettings
from observability.tracing import TraceSettings
from registry.etcd.section import RegistrySection
from runtime.bus.settings import BusSection, DeliverySection
from runtime.events.port import EventSettings
from runtime.process.configuration import ConfigurationError
from runtime.process.logs import LogSection
from runtime.process.schema import FilePath
from runtime.process.setting_types import Bytes, Count, MessageBytes, NonNegativeSeconds, Seconds, Workers

CLIENT_PATH = "/ws"
SOCKETIO_PATHS = ("/socket.io/", "/socket.io")
ENGINEIO_PATHS = ("/engine.io/", "/engine.io")
MIN_SEGMENT = 88  # bytes; Linux takes no less (TCP_MIN_MSS)
SegmentBytes = Annotated[int, msgspec.Meta(ge=0, le=32_767)]  # TCP_MAXSEG


class GatewaySection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[gateway]`: where it listens, and what one client may do."""

    listen: str = "127.0.0.1:8400"  # Address of the listener for clients; port 0 takes a free one.
    node_listen: str = "127.0.0.1:8401"  # Address of the gRPC listener for routers. Not for the public.
    admin: str = "127.0.0.1:8402"  # Address of /livez, /readyz and /metrics. Not for the public.
    hosts: tuple[str, ...] = ()  # Names of the admin listener in Host headers, beside addresses and localhost.
    # Processes behind the one port for clients, each a node of its own with free ports for routers and administration;
    # `admin` then speaks for all, and `node_id` gets a number and a random part. 0: one for each processor.
    workers: Workers = 1
    advertise: str = ""  # The host by which clients and routers reach this gateway; "": the host of its listeners.
    node_id: str = ""  # The node's id, unique in the cluster; "": the host name and a random part.
    # Bytes of one message from a client; homing.* answers a larger one, bare ends.
    max_message: MessageBytes = 1_000_000
    message_seconds: Seconds = 60.0  # Seconds for one message to arrive, and one more for each 4 KiB of it; then 1008.
    unfinished_bytes: Bytes = 67_108_864  # Bytes of incomplete messages that all clients together may hold here.
    max_files: Count = 1000  # Files that one session may have joined at once.
    dev: bool = False  # Serve the page to try Homing, /homing.js, and tokens for anyone; on loopback only.
    dev_router: str = ""  # Address of a router's HTTP API, for the calls of that page.
    # Connections that are not answered yet, in TLS or HTTP, at once; more are ended as they come.
    max_handshakes: Count = 10_000
    # Bytes of TCP's payload in one packet to a client at most, at least 88; 0: as the kernel finds out.
    max_segment: SegmentBytes = 0
    # Path that sends back every message, to anyone and with limits of 17 MiB: for conformance suites, never in
    # production; "": none.
    echo_path: str = ""
    drain: NonNegativeSeconds = 10.0  # Seconds from a stop signal to the close of the last client at most.
    heartbeat: HeartbeatSettings = HeartbeatSettings()
    slow: Budget = Budget()
    limits: LimitSettings = LimitSettings()
    dedup: DedupSettings = DedupSettings()
    tls: TlsSection = TlsSection()
    proxies: ProxySettings = ProxySettings()
    compression: CompressionSettings = CompressionSettings()
    socketio: SocketIoSettings = SocketIoSettings()

    def __post_init__(self) -> None:
        if 0 < self.max_segment < MIN_SEGMENT:
            raise ValueError(f"max_segment: at least {MIN_SEGMENT} bytes, or 0")
        if self.echo_path and (self.echo_path[0] != "/" or self.echo_path == CLIENT_PATH):
            raise ValueError(f"echo_path: a path begins with /, and {CLIENT_PATH} is that of clients")


class IssuerSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[auth.issuers.NAME]`: someone whose tokens count; NAME is what backends see as X-Auth-Type."""

    algorithm: Literal["HS256", "ES256"]  # How the issuer signs: with a shared secret, or with a private key.
    # HS256: a file with the secret, at least 32 bytes; white space at both ends, such as a last line end, is no part of
    # it. ES256: a PEM file with the public key.
    key_file: FilePath
    iss: str  # The exact value of the tokens' `iss` claim.
    aud: str  # The exact value of the tokens' `aud` claim.


class AuthSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[auth]`: who may come in."""

    issuers: dict[str, IssuerSection] = {}
    # Origins whose pages may connect, scheme://host[:port]. Clients that send no Origin need none.
    origins: tuple[str, ...] = ()
    local_origins: bool = False  # Pages from loopback origins may connect, too: for development.
    leeway: NonNegativeSeconds = 5.0  # Seconds by which the issuer's clock and ours may differ.


class GatewayConfig(msgspec.Struct, frozen=True):
    """All that a gateway reads."""

    registry: RegistrySection = RegistrySection()
    gateway: GatewaySection = GatewaySection()
    auth: AuthSection = AuthSection()
    bus: BusSection = BusSection()
    delivery: DeliverySection = DeliverySection()
    events: EventSettings = EventSettings()
    views: ViewSettings = ViewSettings()
    log: LogSection = LogSection()
    trace: TraceSettings = TraceSettings()


def node_id(configured: str) -> str:
    """The configured id, or one that no other process will ever have."""
    return configured or f"{os.uname().nodename[:40]}-{secrets.token_hex(4)}"


def tokens(section: AuthSection) -> Tokens:
    """Who verifies, with the keys read. Raises ConfigurationError: no issuer, an unreadable file, a key of no use."""
    if not section.issuers:
        raise ConfigurationError("auth.issuers: name at least one, or no client can come in")
    issuers = [_issuer(name, issuer) for name, issuer in section.issuers.items()]
    try:
        return Tokens(issuers, section.leeway)
    except ValueError as error:
        raise ConfigurationError(f"auth.issuers: {error}") from None


def development_issuer(settings: GatewayConfig) -> Issuer:
    """Who signs the tokens that `--dev` gives to anyone who asks: the issuer `dev`, else the first with a secret.

    Raises ConfigurationError: there is none, or a listener that is not loopback.
    """
    for field in ("listen", "node_listen", "admin"):
        address = getattr(settings.gateway, field)
        if not _is_loopback(address.rpartition(":")[0].strip("[]")):
            raise ConfigurationError(
                f"gateway.{field}: {address} is not loopback, and --dev gives a token to anyone who asks; "
                "listen on 127.0.0.1, or set gateway.dev = false"
            )
    secret = {name: section for name, section in settings.auth.issuers.items() if section.algorithm == "HS256"}
    if not secret:
        raise ConfigurationError("gateway.dev: needs an HS256 issuer in [auth.issuers], to sign tokens with")
    name = "dev" if "dev" in secret else next(iter(secret))
    return _issuer(name, secret[name])


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _issuer(name: str, section: IssuerSection) -> Issuer:
    try:
        key = keys.check(section.algorithm, Path(section.key_file).read_bytes())
    except OSError as error:
        raise ConfigurationError(f"auth.issuers.{name}.key_file: {section.key_file}: {error.strerror}") from None
    except ValueError as error:
        raise ConfigurationError(f"auth.issuers.{name}.key_file: {section.key_file} {error}") from None
    return Issuer(name, section.algorithm, key, section.iss, section.aud)

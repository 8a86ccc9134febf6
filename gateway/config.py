"""A gateway's configuration: small frozen structs, a sentence a field. Durations are seconds, sizes are bytes."""

import ipaddress
import os
import secrets
from pathlib import Path
from typing import Literal

import msgspec

from gateway.events.port import EventSettings
from gateway.identity.tokens import Issuer, Tokens
from gateway.sessions.budget import Budget
from gateway.sessions.heartbeat import HeartbeatSettings
from gateway.views.port import ViewSettings
from observability.tracing import TraceSettings
from registry.etcd.section import RegistrySection
from runtime.bus.settings import BusSection, DeliverySection
from runtime.process.configuration import ConfigurationError
from runtime.process.logs import LogSection


class GatewaySection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[gateway]`: where it listens, and what one client may do."""

    listen: str = "127.0.0.1:8400"  # clients
    node_listen: str = "127.0.0.1:8401"  # routers and other gateways (gRPC); never the public
    admin: str = "127.0.0.1:8402"  # health, readiness, metrics; never the public
    advertise: str = ""  # the host by which others reach this gateway; "" = the host it listens on
    node_id: str = ""  # "" = host name and a random part
    max_message: int = 65536  # of one message from a client
    max_files: int = 1000  # that one session may have joined at once
    dev: bool = False  # serve the page to try it, /homing.js and tokens for anyone: loopback listeners only
    dev_router: str = ""  # host:port of a router's HTTP address, to which the page's calls go
    drain: float = 10.0  # at most, between a stop signal and the last client's close
    heartbeat: HeartbeatSettings = HeartbeatSettings()
    slow: Budget = Budget()


class IssuerSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[auth.issuers.NAME]`: someone whose tokens count; NAME is what backends see as X-Auth-Type."""

    algorithm: Literal["HS256", "ES256"]
    key_file: str  # HS256: the secret itself, at least 32 bytes; ES256: the public key as PEM
    iss: str  # exactly what the token's claim says
    aud: str  # exactly what the token's claim says


class AuthSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[auth]`: who may come in."""

    issuers: dict[str, IssuerSection] = {}
    origins: tuple[str, ...] = ()  # pages that may connect: scheme://host[:port]
    local_origins: bool = False  # pages of this machine may connect too: for development
    leeway: float = 5.0  # between our clock and the issuer's


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
        key = Path(section.key_file).read_bytes().strip()
    except OSError as error:
        raise ConfigurationError(f"auth.issuers.{name}.key_file: {section.key_file}: {error.strerror}") from None
    return Issuer(name, section.algorithm, key, section.iss, section.aud)

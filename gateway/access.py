"""Who may come in, and by which way: tokens, certificates and proxies, as the settings and their files have them."""

from typing import NamedTuple

from gateway import config
from gateway.door.proxies import TrustedProxies
from gateway.identity.tokens import Issuer, Tokens
from gateway.tls.contexts import Certificates
from runtime.grpc_wire.shared_secret import SharedSecret, read_shared_secret
from runtime.process.configuration import ConfigurationError


class Access(NamedTuple):
    """What the port for clients judges by."""

    tokens: Tokens
    developer: Issuer | None  # signs tokens for the page; None: no page
    certificates: Certificates | None  # None: clients speak plain HTTP
    proxies: TrustedProxies
    secret: SharedSecret  # of the cluster's processes


def read_access(settings: config.GatewayConfig) -> Access:
    """Read and judge everything. ConfigurationError names the setting, or the file, with its cure."""
    secret = read_shared_secret(settings.registry.secret_file)
    developer = config.development_issuer(settings) if settings.gateway.dev else None
    return Access(config.tokens(settings.auth), developer, _certificates(settings), _proxies(settings), secret)


def _certificates(settings: config.GatewayConfig) -> Certificates | None:
    tls = settings.gateway.tls
    if not tls.enabled:
        if tls.key_file or tls.certificates or tls.clients.ca_file:
            raise ConfigurationError("gateway.tls.cert_file: name the certificate, or TLS stays off")
        return None
    if tls.clients.required and not tls.clients.ca_file:
        raise ConfigurationError("gateway.tls.clients.ca_file: name who signs the certificates that are required")
    if tls.clients.ca_file and tls.clients.auth_type in settings.auth.issuers:
        raise ConfigurationError(f"gateway.tls.clients.auth_type: an issuer is named {tls.clients.auth_type!r}, too")
    return Certificates(tls)


def _proxies(settings: config.GatewayConfig) -> TrustedProxies:
    try:
        return TrustedProxies(settings.gateway.proxies)
    except ValueError as error:
        raise ConfigurationError(f"gateway.proxies.{error}") from None

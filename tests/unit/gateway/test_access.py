"""Who may come in, by settings and files: mistakes name the setting and the cure."""

from pathlib import Path

import msgspec
import pytest

from gateway.access import read_access
from gateway.config import AuthSection, GatewayConfig, GatewaySection, IssuerSection
from gateway.door.proxies import ProxySettings
from gateway.tls.settings import ClientCertificates, TlsSection
from runtime.process.configuration import ConfigurationError
from tests.support.certificates import Authority


@pytest.fixture
def settings(tmp_path: Path) -> GatewayConfig:
    key = tmp_path / "key"
    key.write_text("x" * 32)
    issuer = IssuerSection("HS256", str(key), "tests", "homing")
    return GatewayConfig(auth=AuthSection(issuers={"dev": issuer}))


def changed(settings: GatewayConfig, **section: object) -> GatewayConfig:
    gateway: GatewaySection = msgspec.structs.replace(settings.gateway, **section)
    return msgspec.structs.replace(settings, gateway=gateway)


def test_without_a_certificate_clients_speak_plain_http(settings: GatewayConfig) -> None:
    access = read_access(settings)
    assert (access.certificates, access.developer) == (None, None)
    assert not access.proxies.trusts("127.0.0.1")
    assert read_access(changed(settings, dev=True)).developer is not None


def test_with_a_certificate_they_speak_tls(settings: GatewayConfig, tmp_path: Path) -> None:
    pair = Authority(tmp_path).issue("gateway.test")
    tls = TlsSection(cert_file=pair.cert, key_file=pair.key)
    assert tls.enabled
    assert read_access(changed(settings, tls=tls)).certificates is not None


@pytest.mark.parametrize(
    ("tls", "reason"),
    [
        (TlsSection(key_file="key.pem"), r"gateway.tls.cert_file: name the certificate, or TLS stays off"),
        (TlsSection(clients=ClientCertificates(ca_file="ca.pem")), r"gateway.tls.cert_file: name the certificate"),
        (TlsSection("c", "k", clients=ClientCertificates(required=True)), r"clients.ca_file: name who signs"),
        (TlsSection("c", "k", clients=ClientCertificates("ca", auth_type="dev")), r"an issuer is named 'dev', too"),
        (TlsSection("no file", "k"), r"gateway.tls.cert_file: no file: No such file"),
    ],
)
def test_a_setting_without_effect_is_a_mistake(settings: GatewayConfig, tls: TlsSection, reason: str) -> None:
    with pytest.raises(ConfigurationError, match=reason):
        read_access(changed(settings, tls=tls))


def test_a_proxy_that_is_no_address_is_a_mistake(settings: GatewayConfig) -> None:
    with pytest.raises(ConfigurationError, match=r"gateway.proxies.trusted: 'lb' is no address or network"):
        read_access(changed(settings, proxies=ProxySettings(trusted=("lb",))))

"""`--dev` gives a token to anyone who asks, so it starts on loopback only, with somebody who signs."""

import msgspec
import pytest

from gateway import config
from runtime.process.configuration import ConfigurationError


def settings(tmp_path, issuers=("dev",), algorithm="HS256", **gateway):
    section = {"dev": True, **gateway}
    auth = {}
    for name in issuers:
        key = tmp_path / name
        key.write_text("s" * 32)
        auth[name] = {"algorithm": algorithm, "key_file": str(key), "iss": name, "aud": "homing"}
    return msgspec.convert({"gateway": section, "auth": {"issuers": auth}}, config.GatewayConfig)


@pytest.mark.parametrize("address", ["127.0.0.1:0", "127.3.2.1:80", "localhost:80", "[::1]:80"])
def test_loopback_is_fine(tmp_path, address):
    issuer = config.development_issuer(settings(tmp_path, listen=address, node_listen=address, admin=address))
    assert (issuer.name, issuer.key) == ("dev", b"s" * 32)


@pytest.mark.parametrize("field", ["listen", "node_listen", "admin"])
@pytest.mark.parametrize("address", ["0.0.0.0:80", "[::]:80", "10.0.0.1:80", "example.org:80", ":80"])
def test_any_other_listener_is_refused_by_name(tmp_path, field, address):
    with pytest.raises(ConfigurationError, match=rf"^gateway\.{field}: .*not loopback"):
        config.development_issuer(settings(tmp_path, **{field: address}))


def test_the_issuer_dev_signs_else_the_first_with_a_secret_else_nobody(tmp_path):
    assert config.development_issuer(settings(tmp_path, ["mine", "dev"])).name == "dev"
    assert config.development_issuer(settings(tmp_path, ["mine", "other"])).name == "mine"
    with pytest.raises(ConfigurationError, match=r"^gateway\.dev: needs an HS256 issuer"):
        config.development_issuer(settings(tmp_path, algorithm="ES256"))

"""`--dev` gives a token to anyone who asks, so it starts on loopback only, with somebody who signs. And whose tokens
count at all: mistakes in `[auth]` are named by their field.
"""

import msgspec
import pytest

from gateway import config
from gateway.identity.tokens import Issuer
from runtime.process.configuration import ConfigurationError, load
from tests.support.tokens import sign


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


def test_a_token_of_a_configured_issuer_counts(tmp_path):
    auth = settings(tmp_path, ["mine"]).auth
    issuer = Issuer("mine", "HS256", b"s" * 32, "mine", "homing")
    token = sign(issuer, exp=2_000_000_000, iss="mine", aud="homing")
    identity = config.tokens(auth).verify(token, 1_900_000_000.0)
    assert (identity.user, identity.auth_type) == ("ada", "mine")


def test_without_an_issuer_nobody_could_come_in():
    with pytest.raises(ConfigurationError, match=r"^auth\.issuers: name at least one"):
        config.tokens(config.AuthSection())


def test_a_key_that_cannot_be_read_is_named_by_its_field(tmp_path):
    auth = settings(tmp_path, ["mine"]).auth
    (tmp_path / "mine").unlink()
    with pytest.raises(ConfigurationError, match=r"^auth\.issuers\.mine\.key_file: .*mine: No such file"):
        config.tokens(auth)


def test_a_key_that_cannot_be_right_is_named_by_its_field_and_its_file(tmp_path):
    auth = settings(tmp_path, ["mine"]).auth
    (tmp_path / "mine").write_text("short\n")
    with pytest.raises(ConfigurationError, match=r"^auth\.issuers\.mine\.key_file: /.*/mine has 5 bytes .*; make one"):
        config.tokens(auth)


def test_issuers_with_one_iss_are_refused(tmp_path):
    auth = settings(tmp_path, ["mine"]).auth
    twice = msgspec.structs.replace(auth, issuers={"a": auth.issuers["mine"], "b": auth.issuers["mine"]})
    with pytest.raises(ConfigurationError, match=r"^auth\.issuers: issuer b: needs an aud, and an iss of its own"):
        config.tokens(twice)


def test_a_relative_key_file_belongs_to_the_folder_of_the_configuration(tmp_path, monkeypatch):
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "app").write_text("s" * 32)
    for name in ("ca.pem", "node.pem"):
        (tmp_path / name).touch()
    file = tmp_path / "homing.toml"
    file.write_text(
        '[auth.issuers.app]\nalgorithm = "HS256"\nkey_file = "keys/app"\niss = "app"\naud = "homing"\n'
        f'[registry]\netcd_ca = "ca.pem"\netcd_cert = "{tmp_path}/node.pem"\n'
    )
    monkeypatch.chdir("/")
    read = load(config.GatewayConfig, file, {}, [])
    assert (read.registry.etcd_ca, read.registry.etcd_cert, read.registry.etcd_key) == (
        str(tmp_path / "ca.pem"),
        str(tmp_path / "node.pem"),
        "",
    )
    assert config.tokens(read.auth)


def test_a_node_without_a_configured_id_has_one_that_no_other_has():
    assert config.node_id("n1") == "n1"
    assert config.node_id("") != config.node_id("")


@pytest.mark.parametrize("path", ["echo", "/ws", "ws"])
def test_an_echo_path_is_a_path_and_not_that_of_clients(path):
    with pytest.raises(ConfigurationError, match=r"\[gateway\]: echo_path: a path begins with /"):
        load(config.GatewayConfig, None, {}, [f"gateway.echo_path={path}"])
    assert load(config.GatewayConfig, None, {}, ["gateway.echo_path=/echo"]).gateway.echo_path == "/echo"


def test_compression_is_off_unless_it_is_configured():
    assert not config.GatewayConfig().gateway.compression.enabled
    assert load(config.GatewayConfig, None, {}, ["gateway.compression.enabled=true"]).gateway.compression.enabled
    with pytest.raises(ConfigurationError, match=r"\[gateway.compression\] level: Expected `int` <= 9"):
        load(config.GatewayConfig, None, {}, ["gateway.compression.level=10"])


@pytest.mark.parametrize("size", [-1, 1, 87, 32_768])
def test_a_segment_that_the_kernel_does_not_take_is_refused_by_name(size):
    with pytest.raises(ConfigurationError, match="max_segment"):
        load(config.GatewayConfig, None, {}, [f"gateway.max_segment={size}"])


@pytest.mark.parametrize("size", [0, 88, 1400])
def test_a_segment_may_have_a_limit(size):
    assert load(config.GatewayConfig, None, {}, [f"gateway.max_segment={size}"]).gateway.max_segment == size

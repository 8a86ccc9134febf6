import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config import GatewayConfig, IssuerSection
from homing.cluster import settings
from homing.cluster.errors import CommandError, ConfigurationMistake
from registry.etcd.section import RegistrySection
from router.config import RouterConfig
from runtime.process.schema import Level, level_of

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
VALUES = st.recursive(
    st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=5,
)
TABLES = st.dictionaries(TEXT, VALUES | st.dictionaries(TEXT, VALUES, min_size=1), max_size=5)


@given(TABLES)
def test_toml_is_read_back_as_it_was(table):
    assert tomllib.loads(settings.to_toml(table)) == table


def test_merge_is_recursive_and_replaces_values():
    base = {"a": {"x": 1, "y": [1]}, "b": 1}
    override = {"a": {"y": [2], "z": 3}, "b": {"c": 1}}
    assert settings.merge(base, override) == {"a": {"x": 1, "y": [2], "z": 3}, "b": {"c": 1}}


def test_the_environment_goes_before_the_file():
    table = {"registry": {"etcd": ["file:1"]}}
    assert settings.configured(table, "registry", "etcd", {}) == ["file:1"]
    assert settings.configured(table, "registry", "etcd", {"HOMING_REGISTRY__ETCD": "env:1"}) == "env:1"
    assert settings.configured({}, "registry", "etcd", {}) is None


@pytest.mark.parametrize("value", ["a:1,b:2", '["a:1", "b:2"]', ["a:1", "b:2"], " a:1 , b:2,"])
def test_endpoints_in_every_spelling(value):
    assert settings.etcd_endpoints(value) == ["a:1", "b:2"]


@pytest.mark.parametrize("value", [None, "", []])
def test_no_endpoints(value):
    assert settings.etcd_endpoints(value) == []


def test_an_ipv6_address_of_etcd_is_no_json():
    assert settings.etcd_endpoints("[::1]:2379,b:2") == ["[::1]:2379", "b:2"]


def test_ports_count_up_from_the_one_named_and_free_ones_stay_free():
    assert settings.offset_address("0.0.0.0:4000", 2) == "0.0.0.0:4002"
    assert settings.offset_address("[::1]:4000", 1) == "[::1]:4001"
    assert settings.offset_address("127.0.0.1:0", 1) == "127.0.0.1:0"
    with pytest.raises(CommandError, match="'localhost' is not host:port"):
        settings.offset_address("localhost", 0)


def resolve(user):
    bus = {"kind": "redis", "redis": "redis://r:2/0"}
    return settings.resolve(user, etcd=["e:1"], bus=bus, delivery="routed", key_file=Path("/run/dev.key"))


def test_the_addresses_of_up_override_the_users_and_other_settings_are_kept():
    table = resolve({"registry": {"cluster": "mine", "ttl": 5, "etcd": ["old:1"]}, "log": {"level": "debug"}})
    assert table["registry"] == {"cluster": "mine", "ttl": 5, "etcd": ["e:1"]}
    assert table["log"] == {"level": "debug"}
    assert table["bus"] == {"kind": "redis", "redis": "redis://r:2/0"}
    assert table["delivery"] == {"mode": "routed"}


def test_the_users_issuers_stand_beside_the_development_issuer():
    issuers = resolve({"auth": {"issuers": {"corp": {"algorithm": "ES256"}}}})["auth"]["issuers"]
    assert issuers["corp"] == {"algorithm": "ES256"}
    assert issuers["dev"] == {
        "algorithm": "HS256",
        "key_file": "/run/dev.key",
        "iss": "homing-dev",
        "aud": "homing",
    }


def test_one_gateways_addresses_and_name_do_not_reach_the_next():
    table = resolve({"gateway": {"listen": "0.0.0.0:80", "node_id": "g", "advertise": "h"}, "router": {"grpc": "h:1"}})
    anywhere = {"listen": "127.0.0.1:0", "node_listen": "127.0.0.1:0", "admin": "127.0.0.1:0"}
    assert table["gateway"] == {"advertise": "h", "dev": True, **anywhere}
    assert table["router"] == {"grpc": "127.0.0.1:0", "http": "127.0.0.1:0", "admin": "127.0.0.1:0"}


def test_gateways_serve_the_page_with_a_router_unless_the_user_disables_the_page():
    table = resolve({})
    settings.set_page_router(table, "127.0.0.1:5")
    assert (table["gateway"]["dev"], table["gateway"]["dev_router"]) == (True, "127.0.0.1:5")
    assert settings.serves_page({})
    without = {"gateway": {"dev": False}}
    table = resolve(without)
    settings.set_page_router(table, "127.0.0.1:5")
    assert table["gateway"]["dev"] is False
    assert "dev_router" not in table["gateway"]
    assert not settings.serves_page(without)


def test_a_configuration_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(CommandError, match=r"cannot read the configuration .*none\.toml: No such file"):
        settings.load(tmp_path / "none.toml")
    broken = tmp_path / "broken.toml"
    broken.write_text("[registry\n")
    with pytest.raises(CommandError, match=r"broken\.toml is not TOML: .*line 1"):
        settings.load(broken)


def test_a_relative_path_is_of_the_users_file_wherever_up_writes_it(tmp_path, monkeypatch):
    file = tmp_path / "mine.toml"
    file.write_text(
        '[registry]\netcd_ca = "ca.pem"\netcd_cert = ""\netcd_key = 5\n'
        '[auth.issuers.app]\nkey_file = "keys/app"\n[auth.issuers.partner]\nkey_file = "/keys/partner"\n'
    )
    monkeypatch.chdir(tmp_path)
    table = settings.load(Path("mine.toml"))
    assert table["registry"] == {"etcd_ca": str(tmp_path / "ca.pem"), "etcd_cert": "", "etcd_key": 5}
    assert table["auth"]["issuers"] == {
        "app": {"key_file": str(tmp_path / "keys/app")},
        "partner": {"key_file": "/keys/partner"},
    }
    file.write_text("auth = 5\n")
    assert settings.load(file) == {"auth": 5}


def file_settings(level: Level, path: tuple[str, ...] = ()) -> set[tuple[str, ...]]:
    found = {(*path, key) for key in level.files}
    tables = {"*": level.below("*")} if level.named_by_user else level.keys
    for key, below in tables.items():
        found |= file_settings(below, (*path, key)) if below else set()
    return found


def test_up_knows_every_setting_of_the_services_that_names_a_file():
    found = file_settings(level_of(GatewayConfig)) | file_settings(level_of(RouterConfig))
    assert found == set(settings.FILES)


def test_every_setting_that_is_named_like_a_file_is_one():
    for struct in (RegistrySection, IssuerSection):
        named = {name for name in struct.__struct_fields__ if name.endswith(("_file", "_ca", "_cert", "_key"))}
        assert named == {name for *_, name in settings.FILES if name in struct.__struct_fields__}


def test_write_produces_a_file_that_services_can_read(tmp_path):
    path = settings.write(tmp_path, resolve({}))
    assert tomllib.loads(path.read_text())["registry"]["etcd"] == ["e:1"]
    assert [file.name for file in tmp_path.iterdir()] == ["homing.toml"]


@pytest.mark.parametrize("value", ["127.0.0.1:abc", "foo:", "foo", ":9092", "a:1,b", ",", " ", "h:0", "h:65536", "h:²"])
def test_a_malformed_broker_address_is_a_configuration_mistake(value):
    with pytest.raises(ConfigurationMistake, match=r"bus\.kafka: "):
        settings.kafka_brokers(value)


def test_brokers_and_redis_are_normalised():
    assert settings.kafka_brokers("") == ""
    assert settings.kafka_brokers("a:1, [::1]:2") == "a:1,[::1]:2"
    assert settings.redis_url("redis://h:1/0") == "redis://h:1/0"
    with pytest.raises(ConfigurationMistake, match=r"bus\.redis: 'foo' is no URL"):
        settings.redis_url("foo")

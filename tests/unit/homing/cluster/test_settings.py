import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config import GatewayConfig, IssuerSection
from homing.cluster import redis_check, settings
from homing.cluster.errors import CommandError, ConfigurationMistake
from registry.etcd.section import RegistrySection
from router.config import RouterConfig
from runtime.process.configuration import ConfigurationError, load
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


@pytest.mark.parametrize(
    "value", ["a:1,b:2", '["a:1", "b:2"]', "[ 'a:1', 'b:2' ]", '"a:1,b:2"', ["a:1", "b:2"], " a:1 , b:2,"]
)
def test_endpoints_in_every_spelling(value):
    read = (
        settings.configured({}, "registry", "etcd", {"HOMING_REGISTRY__ETCD": value}) if value == str(value) else value
    )
    assert settings.addresses(read) == ["a:1", "b:2"]


@pytest.mark.parametrize("value", [None, "", []])
def test_no_endpoints(value):
    assert settings.addresses(value) == []


def test_an_ipv6_address_of_etcd_is_no_json():
    assert settings.addresses("[::1]:2379,b:2") == ["[::1]:2379", "b:2"]


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


@pytest.mark.parametrize(
    "value", ["127.0.0.1:abc", "foo:", "foo", ":9092", "a:1,b", "h:0", "h:65536", "h:²", '["x"', [5]]
)
def test_a_malformed_address_is_named(value):
    with pytest.raises(ValueError, match=r"is not host:port, such as"):
        settings.addresses(value)


def test_the_text_of_a_variable_is_read_as_the_services_read_it():
    for text, value in (('"kafka"', "kafka"), ("kafka", "kafka"), ("5", "5"), ("[" * 5000, "[" * 5000), ("", "")):
        assert settings.configured({}, "bus", "kind", {"HOMING_BUS__KIND": text}) == value


def test_a_setting_is_placed_where_the_user_has_it():
    file = Path("mine.toml")
    assert settings.place(file, "gateway", "listen", {}) == "mine.toml: [gateway] listen"
    environ = {"HOMING_GATEWAY__LISTEN": "x"}
    assert settings.place(file, "gateway", "listen", environ) == "HOMING_GATEWAY__LISTEN: [gateway] listen"


URLS = [
    "redis://h", "redis://h:1/0", "rediss://u:p@h:6380/1", "unix:///run/redis.sock", "redis://[::1]:6379",
    "foo", "redis://[::1", "redis://", "redis://h:99999", "http://h:1", "unix://", "redis://h:0", "", "redis://h:x",
]  # fmt: skip


@pytest.mark.parametrize("url", URLS)
def test_a_url_of_redis_is_judged_as_the_services_do(url):
    def is_right(check, *arguments):
        try:
            check(*arguments)
        except (ValueError, ConfigurationError):
            return False
        return True

    assert is_right(settings.check_redis_url, url) == is_right(load, RouterConfig, None, {}, [f"bus.redis={url}"])


def test_an_error_about_a_url_shows_no_password():
    assert redis_check.without_password("redis://u:secret@h:1/0") == "redis://h:1/0"
    assert redis_check.without_password("redis://u:secret@[::1") == "(no URL)"


@pytest.mark.parametrize("text", ["registry = " + "[" * 5000, "a = " + "9" * 5000])
def test_a_file_that_no_parser_reads_is_named(tmp_path, text):
    file = tmp_path / "odd.toml"
    file.write_text(text)
    with pytest.raises(ConfigurationMistake, match=r"odd\.toml is (nested too deeply|not TOML)"):
        settings.load(file)


def test_a_device_without_an_end_is_named():
    with pytest.raises(ConfigurationMistake, match="/dev/zero has more than 1048576 bytes"):
        settings.load(Path("/dev/zero"))


def test_there_is_no_port_above_the_last():
    assert settings.offset_address("h:65534", 1) == "h:65535"
    with pytest.raises(ConfigurationMistake, match="'h:65535' is for the first process, one port up for each other"):
        settings.offset_address("h:65535", 1)

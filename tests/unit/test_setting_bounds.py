"""A setting out of bounds ends the start with its place, its name and what is allowed, in both services."""

from collections.abc import Iterator

import pytest
from msgspec import inspect

from gateway.config import GatewayConfig
from router.config import RouterConfig
from runtime.process.configuration import ConfigurationError, load
from runtime.process.setting_types import check_addresses, split_list

WRONG = [
    ("delivery.mode=foo", "[delivery] mode: Invalid enum value 'foo'; there are: broadcast, routed"),
    ("bus.kind=foo", "[bus] kind: Invalid enum value 'foo'; there are: kafka, redis"),
    ("log.level=loud", "[log] level: Invalid enum value 'loud'; there are: debug, error, info, warning"),
    ("registry.ttl=0", "[registry] ttl: Expected `int` >= 1"),
    ("registry.machine=1024", "[registry] machine: Expected `int` <= 1023"),
    ("registry.start_limit=-1", "[registry] start_limit: Expected `float` >= 0.0"),
    ("registry.cluster=a/b", "[registry] cluster: Expected `str` matching regex"),
    ('registry.cluster=""', "[registry] cluster: Expected `str` matching regex"),
    ("registry.etcd=[]", "[registry]: etcd: name at least one host:port"),
    ('registry.etcd=["x"]', "[registry]: etcd: 'x' is not host:port, such as 127.0.0.1:2379"),
    ("registry.etcd=a:1,b:99999", "[registry]: etcd: 'b:99999' is not host:port"),
    ("bus.redis=foo", "[bus]: redis: no URL of Redis, such as redis://127.0.0.1:6379"),
    ("bus.redis=redis://h:99999", "[bus]: redis: no URL of Redis"),
    ("bus.redis=http://h:1", "[bus]: redis: no URL of Redis"),
    ("bus.redis=unix://", "[bus]: redis: no URL of Redis"),
    ("bus.kafka=foo", "[bus]: kafka: 'foo' is not host:port"),
    ("bus.timeout=0", "[bus] timeout: Expected `float` > 0.0"),
    ("bus.timeout=nan", "[bus] timeout: Expected `float` > 0.0"),
    ("bus.timeout=inf", "[bus] timeout: Expected `float` <= 31536000.0"),
]


@pytest.mark.parametrize("kind", [GatewayConfig, RouterConfig])
@pytest.mark.parametrize(("assignment", "message"), WRONG)
def test_a_wrong_value_is_named_with_what_is_allowed(kind: type, assignment: str, message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load(kind, None, {}, [assignment])
    assert str(caught.value).startswith(f"--set {assignment}: {message}")


@pytest.mark.parametrize(
    "assignment",
    [
        "registry.etcd=a:1, [::1]:2,",
        "bus.redis=unix:///run/redis.sock",
        "bus.redis=rediss://u:p@h:6380/1",
        "registry.machine=1023",
        "registry.start_limit=0",
        "bus.kafka=a.example:9092,b_2:1",
    ],
)
def test_what_is_allowed_is_taken(assignment: str) -> None:
    load(GatewayConfig, None, {}, [assignment])


def numbers(kind: inspect.Type, name: str) -> Iterator[tuple[str, inspect.IntType | inspect.FloatType]]:
    match kind:
        case inspect.StructType():
            for field in kind.fields:
                yield from numbers(field.type, f"{name}.{field.name}")
        case inspect.DictType():
            yield from numbers(kind.value_type, name)
        case inspect.UnionType():
            for one in kind.types:
                yield from numbers(one, name)
        case inspect.IntType() | inspect.FloatType():
            yield name, kind


@pytest.mark.parametrize("kind", [GatewayConfig, RouterConfig])
def test_every_number_has_both_bounds(kind: type) -> None:
    found = dict(numbers(inspect.type_info(kind), ""))
    assert len(found) > 10
    assert [name for name, one in found.items() if (one.ge is None and one.gt is None) or one.le is None] == []


def test_a_list_may_be_a_text_with_commas() -> None:
    assert split_list(" a:1 ,,b:2") == split_list(["a:1", " b:2 "]) == ("a:1", "b:2")
    check_addresses("etcd", ["[fe80::1%eth0]:2379"])

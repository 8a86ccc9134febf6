"""`DIR/homing.toml`: the one configuration that every service of this cluster is started with.

`up` lays what it has found or started (etcd, Redis, the development issuer) over what the user's own file says, and
writes the result, so that `homing gateway --config DIR/homing.toml` adds a gateway to the running cluster.
Addresses to listen on stay out of it: they belong to one process each and travel as flags.
"""

import json
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from homing.cluster import devtoken
from homing.cluster.trouble import ConfigurationMistake

NAME = "homing.toml"
ANYWHERE = "127.0.0.1:0"  # loopback, any free port

Table = dict[str, Any]


def load(file: Path | None) -> Table:
    """The user's configuration, {} without one. Trouble: it cannot be read, or is not TOML."""
    if file is None:
        return {}
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationMistake(f"cannot read the configuration {file}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationMistake(f"the configuration {file} is not TOML: {error}") from None


def merge(under: Mapping[str, Any], over: Mapping[str, Any]) -> Table:
    """Both, table by table; where both have a value, the one of `over`."""
    merged = dict(under)
    for name, value in over.items():
        below = merged.get(name)
        merged[name] = merge(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return merged


def given(table: Mapping[str, Any], section: str, key: str, environment: Mapping[str, str] = os.environ) -> object:
    """What the user said for `section.key`: the environment (HOMING_SECTION__KEY) before the file, else None."""
    text = environment.get(f"HOMING_{section.upper()}__{key.upper()}")
    within: Mapping[str, object] = table.get(section, {})
    return text if text is not None else within.get(key)


def endpoints(value: object) -> list[str]:
    """etcd's endpoints as given: a list, a JSON list, or host:port separated by commas. [] for nothing."""
    if isinstance(value, str):
        value = json.loads(value) if value.startswith("[") else value.split(",")
    return [str(item).strip() for item in value if str(item).strip()] if isinstance(value, list) else []


def broker(value: str) -> str:
    """Kafka's brokers as given: host:port, several separated by commas; "" for none. Mistake: anything else."""
    listed = [one.strip() for one in value.split(",")] if value.strip(" ,") else []
    for one in listed:
        host, _, port = one.rpartition(":")
        if not host or not (port.isascii() and port.isdecimal() and 0 < int(port) < 65536):
            raise ConfigurationMistake(f"bus.kafka: {one!r} is not host:port")
    if value and not listed:
        raise ConfigurationMistake(f"bus.kafka: {value!r} names no broker; host:port, several separated by commas")
    return ",".join(listed)


def redis_url(value: str) -> str:
    """Redis as given; "" for none. Mistake: not one of redis-py's kinds of URL."""
    if value and not value.startswith(("redis://", "rediss://", "unix://")):
        raise ConfigurationMistake(f"bus.redis: {value!r} is no URL; write redis://HOST:PORT")
    return value


def shifted(address: object, by: int) -> str:
    """Where the `by`-th process listens when the first one was told `address`: the same port plus `by`; 0 stays 0."""
    host, _, port = str(address or ANYWHERE).rpartition(":")
    if not port.isdecimal():
        raise ConfigurationMistake(f"{address!r} is not host:port")
    return f"{host}:{int(port) + by if int(port) else 0}"


def resolve(
    user: Mapping[str, Any], *, etcd: list[str], bus: Mapping[str, str], delivery: str, key_file: Path
) -> Table:
    """The services' configuration of this cluster, ready to be written. `bus`: kind, redis, and kafka if known."""
    own: Table = {
        "registry": {"cluster": "homing"},
        "gateway": {"dev": True},
        "views": {"enabled": True},
        "auth": {
            "issuers": {
                "dev": {
                    "algorithm": "HS256",
                    "key_file": str(key_file.resolve()),
                    "iss": devtoken.ISSUER,
                    "aud": devtoken.AUDIENCE,
                }
            }
        },
    }
    found: Table = {"registry": {"etcd": etcd}, "bus": dict(bus), "delivery": {"mode": delivery}}
    table = merge(merge(own, user), found)
    gateway = {key: value for key, value in table.get("gateway", {}).items() if key != "node_id"}
    table["gateway"] = {**gateway, "listen": ANYWHERE, "node_listen": ANYWHERE, "admin": ANYWHERE}
    table["router"] = {**table.get("router", {}), "grpc": ANYWHERE, "http": ANYWHERE}
    return table


def serves_page(user: Mapping[str, Any]) -> bool:
    """Whether the gateways of `up` serve the page for development: yes, unless `[gateway] dev = false`."""
    return bool(merge({"gateway": {"dev": True}}, user)["gateway"]["dev"])


def name_router(table: Table, http: str) -> None:
    """Tell the gateways' pages for development which router to call; not when the user has gone without them."""
    if table["gateway"].get("dev"):
        table["gateway"]["dev_router"] = http


def write(run_dir: Path, table: Mapping[str, Any]) -> Path:
    """Write the file in one step; the answer is where it lies."""
    place = run_dir / NAME
    draft = run_dir / f".{NAME}"
    draft.write_text("# Written by `homing up`; it is written anew at each start.\n" + to_toml(table), encoding="utf-8")
    draft.replace(place)
    return place


def to_toml(table: Mapping[str, Any], path: tuple[str, ...] = ()) -> str:
    """TOML text of nested tables whose values are strings, numbers, booleans, dates and lists of these."""
    values = {key: value for key, value in table.items() if not isinstance(value, Mapping)}
    lines = [f"{_key(key)} = {_value(value)}\n" for key, value in values.items()]
    head = f"\n[{'.'.join(map(_key, path))}]\n" if path and lines else ""
    tables = [to_toml(value, (*path, key)) for key, value in table.items() if isinstance(value, Mapping)]
    return head + "".join(lines) + "".join(tables)


def _key(name: str) -> str:
    bare = name.isascii() and name.replace("-", "").replace("_", "").isalnum()
    return name if bare else _text(name)


def _value(value: object) -> str:
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_key(key)} = {_value(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_value, value)) + "]"
    return str(value)  # numbers as Python writes them, dates as ISO 8601: both are TOML


def _text(text: str) -> str:
    # JSON's escapes are TOML's, but for DEL, which JSON leaves as it is.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")

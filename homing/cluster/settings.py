"""`DIR/homing.toml`: the configuration of every service of this cluster.

`up` merges the user's file with the addresses that it found or started (etcd, Redis, the development issuer) and writes
the result, so that `homing gateway --config DIR/homing.toml` adds a gateway to the running cluster. Listen addresses
are not part of the file: each belongs to one process and is passed as a flag.
"""

import json
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from homing.client.addresses import is_peer, join_address, parse_address
from homing.cluster import devtoken
from homing.cluster.errors import ConfigurationMistake

NAME = "homing.toml"
ANY_LOOPBACK_PORT = "127.0.0.1:0"
MAX_FILE = 1_048_576  # bytes of a configuration

FILES = (
    ("registry", "etcd_ca"),
    ("registry", "etcd_cert"),
    ("registry", "etcd_key"),
    ("registry", "secret_file"),
    ("auth", "issuers", "*", "key_file"),
    ("gateway", "tls", "cert_file"),
    ("gateway", "tls", "key_file"),
    ("gateway", "tls", "certificates", "*", "cert_file"),
    ("gateway", "tls", "certificates", "*", "key_file"),
    ("gateway", "tls", "clients", "ca_file"),
)
"""The settings that name files; * is any name. tests/unit/homing/cluster/test_settings.py reads the services' own."""

TomlTable = dict[str, Any]


DEFAULTS: TomlTable = {
    "registry": {"cluster": "homing"},
    "gateway": {"dev": True},
    "views": {"enabled": True},
    "auth": {
        "issuers": {"dev": {"algorithm": "HS256", "key_file": "", "iss": devtoken.ISSUER, "aud": devtoken.AUDIENCE}}
    },
}
"""What `up` configures unless the user does; the development key's file is known once it has been made."""


def load(file: Path | None) -> TomlTable:
    """The user's configuration; {} without a file. Relative paths of files become absolute: they belong to the folder
    of `file`, and the table is written to another. ConfigurationMistake: the file cannot be read, or is not TOML."""
    if file is None:
        return {}
    try:
        with file.open("rb") as opened:
            raw = opened.read(MAX_FILE + 1)
        if len(raw) > MAX_FILE:
            raise ConfigurationMistake(f"the configuration {file} has more than {MAX_FILE} bytes")
        table = tomllib.loads(raw.decode())
    except OSError as error:
        raise ConfigurationMistake(f"cannot read the configuration {file}: {error.strerror}") from None
    except RecursionError:
        raise ConfigurationMistake(f"the configuration {file} is nested too deeply") from None
    except ValueError as error:  # not TOML, not UTF-8, a number of 5,000 digits
        raise ConfigurationMistake(f"the configuration {file} is not TOML: {error}") from None
    for path in FILES:
        table = _resolve_file(table, path, file.parent.resolve())
    return table


def _resolve_file(table: Any, path: tuple[str, ...], folder: Path) -> Any:  # noqa: ANN401 - whatever TOML holds
    if not path:
        return str(folder / table) if isinstance(table, str) and table else table
    if not isinstance(table, dict):
        return table
    key, *rest = path
    names = table if key == "*" else [key] if key in table else []
    return table | {name: _resolve_file(table[name], tuple(rest), folder) for name in names}


def merge(base: Mapping[str, Any], override: Mapping[str, Any]) -> TomlTable:
    """Both tables merged, recursively; `override` wins where both have a value."""
    merged = dict(base)
    for name, value in override.items():
        current = merged.get(name)
        merged[name] = merge(current, value) if isinstance(current, dict) and isinstance(value, dict) else value
    return merged


def configured(table: Mapping[str, Any], section: str, key: str, environment: Mapping[str, str] = os.environ) -> object:
    """The user's value of `section.key`: from the environment (HOMING_SECTION__KEY), else from the file, else None."""
    text = environment.get(variable(section, key))
    values: Mapping[str, object] = table.get(section, {})
    return _unquoted(text) if text is not None else values.get(key)


def variable(section: str, key: str) -> str:
    """The environment variable of a setting."""
    return f"HOMING_{section.upper()}__{key.upper()}"


def place(file: Path | None, section: str, key: str, environment: Mapping[str, str] = os.environ) -> str:
    """Where the user's value of `section.key` is, as errors name it."""
    name = variable(section, key)
    return f"{name}: [{section}] {key}" if name in environment else f"{file}: [{section}] {key}"


def _unquoted(text: str) -> object:
    """A variable's value: a list or a text in quotes as in TOML, else the text itself, as the services read it."""
    try:
        table = tomllib.loads(f"value = {text}")
    except (ValueError, RecursionError):
        return text
    return table["value"] if len(table) == 1 and isinstance(table["value"], str | list) else text


def addresses(value: object) -> list[str]:
    """Addresses from a list, or from host:port separated by commas; [] for none. ValueError: one is not host:port."""
    items = value.split(",") if isinstance(value, str) else value if isinstance(value, list) else []
    found = [text for item in items if (text := str(item).strip())]
    for address in found:
        if not is_peer(address):
            raise ValueError(f"{address!r} is not host:port, such as 127.0.0.1:2379 or [::1]:2379")
    return found


def check_redis_url(value: str) -> None:
    """ValueError: not a URL of Redis, as the services' `[bus] redis`. The text has no password."""
    try:
        parts = urlsplit(value)
        has_host = bool(parts.hostname) and parts.port != 0
    except ValueError:
        has_host, parts = False, urlsplit("")
    if not (bool(parts.path) if parts.scheme == "unix" else has_host and parts.scheme in ("redis", "rediss")):
        raise ValueError("no URL of Redis, such as redis://127.0.0.1:6379")


def offset_address(address: object, offset: int) -> str:
    """The listen address of the `offset`-th process: the port of `address` plus `offset`; port 0 stays 0.

    ConfigurationMistake: not host:port, or there is no such port.
    """
    found = parse_address(str(address))
    if found is None:
        raise ConfigurationMistake(f"{address!r} is not host:port, such as 127.0.0.1:8400 or [::1]:0")
    host, port = found
    if port and port + offset > 65535:
        raise ConfigurationMistake(
            f"{address!r} is for the first process, one port up for each other: 65535 is the last"
        )
    return join_address(host, port + offset if port else 0)


def defaults(key_file: Path) -> TomlTable:
    """What `up` configures unless the user does, with the development key's file."""
    return merge(DEFAULTS, {"auth": {"issuers": {"dev": {"key_file": str(key_file.resolve())}}}})


def resolve(
    user: Mapping[str, Any], *, etcd: list[str], bus: Mapping[str, str], delivery: str, key_file: Path
) -> TomlTable:
    """The configuration of this cluster's services. `bus`: kind, redis, and kafka if there is one."""
    fixed: TomlTable = {"registry": {"etcd": etcd}, "bus": dict(bus), "delivery": {"mode": delivery}}
    table = merge(merge(defaults(key_file), user), fixed)
    gateway = {key: value for key, value in table.get("gateway", {}).items() if key != "node_id"}
    table["gateway"] = {
        **gateway,
        "listen": ANY_LOOPBACK_PORT,
        "node_listen": ANY_LOOPBACK_PORT,
        "admin": ANY_LOOPBACK_PORT,
    }
    listen = dict.fromkeys(("grpc", "http", "admin"), ANY_LOOPBACK_PORT)
    table["router"] = {**table.get("router", {}), **listen}
    return table


def serves_page(user: Mapping[str, Any]) -> bool:
    """Whether the gateways of `up` serve the development page: yes, unless `[gateway] dev = false`."""
    return bool(merge({"gateway": {"dev": True}}, user)["gateway"]["dev"])


def set_page_router(table: TomlTable, http: str) -> None:
    """Set the router that the gateways' development pages call, unless the user disabled the pages."""
    if table["gateway"].get("dev"):
        table["gateway"]["dev_router"] = http


def write(run_dir: Path, table: Mapping[str, Any]) -> Path:
    """Replace the file atomically. Returns its path."""
    path = run_dir / NAME
    draft = run_dir / f".{NAME}"
    draft.write_text("# Written by `homing up`; it is written anew at each start.\n" + to_toml(table), encoding="utf-8")
    draft.replace(path)
    return path


def to_toml(table: Mapping[str, Any], path: tuple[str, ...] = ()) -> str:
    """TOML text of nested tables whose values are strings, numbers, booleans, dates and lists of these."""
    values = {key: value for key, value in table.items() if not isinstance(value, Mapping)}
    lines = [f"{_key(key)} = {_value(value)}\n" for key, value in values.items()]
    header = f"\n[{'.'.join(map(_key, path))}]\n" if path and lines else ""
    tables = [to_toml(value, (*path, key)) for key, value in table.items() if isinstance(value, Mapping)]
    return header + "".join(lines) + "".join(tables)


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
    # JSON's escapes are valid TOML; DEL, which JSON does not escape, must be escaped in TOML.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")

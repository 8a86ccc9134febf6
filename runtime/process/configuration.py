"""How a service reads its configuration: one TOML file, `HOMING_*` variables, `--set` flags, in rising order.

`HOMING_REGISTRY__TTL=5` and `--set registry.ttl=5` both mean `[registry] ttl = 5`. Values from variables and flags are
TOML values, or plain text where they are not. The same file serves gateways and routers: each names the sections it
reads, and only a section that no service knows is a mistake.
"""

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec

SECTIONS = frozenset(
    {"registry", "gateway", "router", "auth", "bus", "delivery", "events", "views", "commands", "log", "trace"}
)

T = TypeVar("T")


class ConfigurationError(Exception):
    """A mistake in the configuration; the message names the place."""


def load(kind: type[T], file: Path | None, environ: Mapping[str, str], settings: Sequence[str]) -> T:
    """The configuration as one frozen struct of sections. Raises ConfigurationError."""
    layers = [_from_file(file), _from_environment(environ), _from_flags(settings)]
    merged: dict[str, Any] = {}
    for layer in layers:
        _merge(merged, layer)
    unknown = sorted(set(merged) - SECTIONS)
    if unknown:
        raise ConfigurationError(f"unknown section [{unknown[0]}]; there are: {', '.join(sorted(SECTIONS))}")
    mine = {field.encode_name for field in msgspec.structs.fields(kind)}  # type: ignore[arg-type]
    try:
        return msgspec.convert({name: merged[name] for name in mine & set(merged)}, kind, strict=False)
    except msgspec.ValidationError as error:
        raise ConfigurationError(_in_words(str(error))) from None


def _from_file(file: Path | None) -> dict[str, Any]:
    if file is None:
        return {}
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(f"{file}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{file}: {error}") from None


def _from_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    layer: dict[str, Any] = {}
    for name, text in environ.items():
        if name.startswith("HOMING_") and "__" in name:
            _put(layer, name.removeprefix("HOMING_").lower().split("__"), text, name)
    return layer


def _from_flags(settings: Sequence[str]) -> dict[str, Any]:
    layer: dict[str, Any] = {}
    for setting in settings:
        path, equals, text = setting.partition("=")
        if not equals or "." not in path:
            raise ConfigurationError(f"--set {setting}: expected section.key=value, as in --set registry.ttl=5")
        _put(layer, path.strip().split("."), text.strip(), f"--set {setting}")
    return layer


def _put(layer: dict[str, Any], path: list[str], text: str, source: str) -> None:
    for step in path[:-1]:
        layer = layer.setdefault(step, {})
        if not isinstance(layer, dict):
            raise ConfigurationError(f"{source}: {step} is a value, not a section")
    layer[path[-1]] = _value(text)


def _value(text: str) -> Any:  # noqa: ANN401 - whatever TOML holds
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _merge(into: dict[str, Any], layer: Mapping[str, Any]) -> None:
    for key, value in layer.items():
        if isinstance(value, Mapping) and isinstance(into.get(key), dict):
            _merge(into[key], value)
        else:
            into[key] = value


def _in_words(error: str) -> str:
    """msgspec's message with the place first: `registry.ttl: Expected int, got str`."""
    what, _, where = error.partition(" - at `$.")
    return f"{where.rstrip('`')}: {what}" if where else error

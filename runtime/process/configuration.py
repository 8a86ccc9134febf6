"""The configuration of a service: one TOML file, then `HOMING_*` variables, then `--set` flags; the last one counts.

`HOMING_REGISTRY__TTL=5` and `--set registry.ttl=5` both mean `[registry] ttl = 5`. Values of variables and flags are
TOML values, or plain text where they are none. A relative path in the file belongs to the folder of that file, so that
a service finds its keys wherever it is started; in a variable or a flag it belongs to the working directory, as for any
command.

All services of a cluster may read the same file: each reads its own sections. A section of another service is not
checked; a section that no service has is an error, and so is an unknown key, at every nesting level. A variable that
begins with `HOMING_` must be a setting, unless `NOT_SETTINGS` has it. Each error names the place and the nearest known
name.
"""

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from runtime.process.configuration_check import (
    SECTIONS,
    ConfigurationError,
    Layer,
    check_keys,
    check_sections,
    unknown_variable,
    value_error,
)
from runtime.process.schema import Level, level_of

__all__ = ["ConfigurationError", "load"]

PREFIX = "HOMING_"
NOT_SETTINGS = frozenset({"HOMING_DEBUG"})
"""Variables of the command `homing` (homing/command/root.py), which its services inherit."""

is_service_link = re.compile(
    r"HOMING(_[A-Z0-9]+)*_(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)"
).fullmatch
"""What Kubernetes sets in every container beside a Service whose name begins with "homing"."""

T = TypeVar("T")


def load(kind: type[T], file: Path | None, environ: Mapping[str, str], assignments: Sequence[str]) -> T:
    """The configuration as one frozen struct of sections. `assignments`: those of `--set`. ConfigurationError."""
    sections = level_of(kind)
    layers = [*_from_file(file, sections), *_from_environment(environ, sections), *_from_flags(assignments)]
    merged: dict[str, Any] = {}
    for layer in layers:
        check_sections(layer)
        table = {name: value for name, value in layer.table.items() if name in sections.keys}
        check_keys(table, sections, (), layer.place)
        _merge(merged, table)
    try:
        return msgspec.convert(merged, kind, strict=False)
    except msgspec.ValidationError as error:
        raise value_error(str(error), sections, merged, layers) from None


def _from_file(file: Path | None, sections: Level) -> Iterator[Layer]:
    if file is None:
        return
    try:
        table = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(f"{file}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{file}: {error}") from None
    yield Layer(str(file), _resolve_files(table, sections, file.parent))


def _resolve_files(table: Any, level: Level, folder: Path) -> Any:  # noqa: ANN401 - whatever TOML holds, checked later
    """The table with the paths of files below `folder`, unless they are absolute."""
    if not isinstance(table, Mapping):
        return table
    resolved = dict(table)
    for key, value in table.items():
        below = level.below(key) if level.knows(key) else None
        if below is not None:
            resolved[key] = _resolve_files(value, below, folder)
        elif key in level.files and isinstance(value, str) and value:
            resolved[key] = str(folder / value)
    return resolved


def _from_environment(environ: Mapping[str, str], sections: Level) -> Iterator[Layer]:
    for name in sorted(environ):
        if not name.startswith(PREFIX) or name in NOT_SETTINGS or is_service_link(name):
            continue
        path = name.removeprefix(PREFIX).lower().split("__")
        is_setting = len(path) > 1 and path[0] in SECTIONS
        if not is_setting or (path[0] in sections.keys and not sections.knows_path(path)):
            raise unknown_variable(name, PREFIX, sections)
        yield Layer(name, _nest(path, environ[name]))


def _from_flags(assignments: Sequence[str]) -> Iterator[Layer]:
    for assignment in assignments:
        path, equals, text = assignment.partition("=")
        if not equals or "." not in path:
            raise ConfigurationError(f"--set {assignment}: expected section.key=value, as in --set registry.ttl=5")
        yield Layer(f"--set {assignment}", _nest(path.strip().split("."), text.strip()))


def _nest(path: list[str], text: str) -> dict[str, Any]:
    """The table of one value, which is read as TOML if possible."""
    table: Any
    try:
        table = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        table = text
    for key in reversed(path):
        table = {key: table}
    return table  # type: ignore[no-any-return]  # a table: no path is empty


def _merge(into: dict[str, Any], table: Mapping[str, Any]) -> None:
    for key, value in table.items():
        if isinstance(value, Mapping) and isinstance(into.get(key), dict):
            _merge(into[key], value)
        else:
            into[key] = value

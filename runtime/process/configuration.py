"""The configuration of a service: one TOML file, then `HOMING_*` variables, then `--set` flags; the last one counts.

`HOMING_REGISTRY__TTL=5` and `--set registry.ttl=5` both mean `[registry] ttl = 5`. Values of variables and flags are
plain text where the setting is a text, else TOML values. A relative path in the file belongs to the folder of that
file, so that a service finds its keys wherever it is started; in a variable or a flag it belongs to the working
directory, as for any command.

All services of a cluster may read the same file: each reads its own sections. A section of another service is not
checked; a section that no service has is an error, and so is an unknown key, at every nesting level. A variable that
begins with `HOMING_` must be a setting, unless `NOT_SETTINGS` has it. Each error names the place and the nearest known
name.
"""

import re
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
    check_texts,
    named_error,
    unknown_variable,
    value_error,
)
from runtime.process.schema import Level, level_of
from runtime.process.setting_files import named_files, read_text, unfit_file
from runtime.process.setting_values import TomlError, read_toml, read_value, shown

__all__ = ["ConfigurationError", "load"]

PREFIX = "HOMING_"
NOT_SETTINGS = frozenset({"HOMING_CA", "HOMING_DEBUG"})
"""Variables of the command `homing` (homing/command/root.py), which its services inherit."""

is_service_link = re.compile(
    r"HOMING(_[A-Z0-9]+)*_(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)"
).fullmatch
"""What Kubernetes sets in every container beside a Service whose name begins with "homing"."""

T = TypeVar("T")


def load(
    kind: type[T],
    file: Path | None,
    environ: Mapping[str, str],
    assignments: Sequence[str],
    below: Sequence[tuple[str, Mapping[str, Any]]] = (),
) -> T:
    """The configuration as one frozen struct of sections. `assignments`: those of `--set`. `below`: tables that all
    else overrides, each with its place. ConfigurationError, also for a file that a setting names and that is not there,
    or no regular file.
    """
    sections = level_of(kind)
    layers = [
        *(Layer(place, dict(table)) for place, table in below),
        *_from_file(file, sections),
        *_from_environment(environ, sections),
        *_from_flags(assignments, sections),
    ]
    merged: dict[str, Any] = {}
    for layer in layers:
        check_sections(layer)
        table = {name: value for name, value in layer.table.items() if name in sections.keys}
        check_keys(table, sections, (), layer.place)
        check_texts(table, layer.place)
        _merge(merged, table)
    try:
        settings = msgspec.convert(merged, kind, strict=False)
    except msgspec.ValidationError as error:
        raise value_error(str(error), sections, merged, layers) from None
    _check_files(merged, sections, layers)
    return settings


def _check_files(merged: Mapping[str, Any], sections: Level, layers: Sequence[Layer]) -> None:
    for path, file in named_files(merged, sections):
        if reason := unfit_file(file):
            raise named_error(path, f"{file} {reason}" if reason[0].islower() else f"{file}: {reason}", layers)


def _from_file(file: Path | None, sections: Level) -> Iterator[Layer]:
    if file is None:
        return
    try:
        table = read_toml(read_text(file))
    except OSError as error:
        raise ConfigurationError(f"{file}: {error.strerror or error}") from None
    except (TomlError, ValueError) as error:
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
        is_setting = len(path) > 1 and all(path) and path[0] in SECTIONS
        if not is_setting or (path[0] in sections.keys and not sections.knows_path(path)):
            raise unknown_variable(name, PREFIX, sections)
        yield Layer(name, _nest(path, environ[name], sections))


def _from_flags(assignments: Sequence[str], sections: Level) -> Iterator[Layer]:
    for assignment in assignments:
        name, equals, text = assignment.partition("=")
        path = name.strip().split(".")
        place = f"--set {shown(assignment)}"
        if not equals or len(path) < 2 or not all(path):
            raise ConfigurationError(f"{place}: expected section.key=value, as in --set registry.ttl=5")
        yield Layer(place, _nest(path, text.strip(), sections))


def _nest(path: list[str], text: str, sections: Level) -> dict[str, Any]:
    """The table of one value."""
    table: Any = read_value(text, path, sections)
    for key in reversed(path):
        table = {key: table}
    return table  # type: ignore[no-any-return]  # a table: no path is empty


def _merge(into: dict[str, Any], table: Mapping[str, Any]) -> None:
    for key, value in table.items():
        if isinstance(value, Mapping) and isinstance(into.get(key), dict):
            _merge(into[key], value)
        else:
            into[key] = value

"""Core: mistakes in a configuration: unknown names with the nearest known one, and wrong values, with their place."""

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from runtime.process.schema import Level
from runtime.process.setting_values import control_character

SECTIONS = ("registry", "gateway", "router", "auth", "bus", "delivery", "events", "views", "commands", "log", "trace")
"""Those of all services."""


_leading_key_of = re.compile(r"([a-z_]+)(?::| =)").match  # as a struct's own check names its field


class ConfigurationError(Exception):
    """A mistake in the configuration. The message names the place."""


class Layer(NamedTuple):
    """Settings from one place: the file, a variable or a flag."""

    place: str
    table: dict[str, Any]


def check_sections(layer: Layer) -> None:
    """ConfigurationError for a section that no service has."""
    for name in layer.table:
        if name not in SECTIONS:
            nearest = _nearest(name, SECTIONS)
            suggestion = f"did you mean [{nearest}]?" if nearest else f"there are: {', '.join(sorted(SECTIONS))}"
            raise ConfigurationError(f"{layer.place}: [{name}]: unknown section; {suggestion}")


def check_keys(table: Mapping[str, Any], level: Level, path: tuple[str, ...], place: str) -> None:
    """ConfigurationError for a key that the level does not know, and for a table where a value belongs."""
    for key, value in table.items():
        name = f"{place}: {_display((*path, key))}"
        if not level.knows(key):
            nearest = _nearest(key, level.keys)
            suggestion = f"did you mean {nearest}?" if nearest else f"there are: {', '.join(sorted(level.keys))}"
            raise ConfigurationError(f"{name}: unknown; {suggestion}")
        below = level.below(key)
        if below is None and isinstance(value, Mapping):
            raise ConfigurationError(f"{name}: is no section, but has a value")
        if below is not None and not isinstance(value, Mapping):
            raise ConfigurationError(f"{name}: is a section, and has no value")
        if below is not None:
            check_keys(value, below, (*path, key), place)


def unknown_variable(name: str, prefix: str, sections: Level) -> ConfigurationError:
    """The error for an environment variable that is no setting."""
    path = name.removeprefix(prefix).lower().split("__")
    known = [prefix + "__".join(path).upper() for path in sections.value_paths(path)]
    same = [variable for variable in known if variable.replace("__", "_") == name.replace("__", "_")]
    for section in set(SECTIONS) - sections.keys.keys():  # of another service, whose keys are not known here
        section_prefix = f"{prefix}{section.upper()}_"
        if name.startswith(section_prefix):
            same.append(f"{section_prefix}_{name.removeprefix(section_prefix)}")
    nearest = same[0] if same else _nearest(name, known)
    suggestion = f"did you mean {nearest}?" if nearest else f"a setting is named {prefix}SECTION__KEY"
    return ConfigurationError(f"{name}: unknown; {suggestion}")


def value_error(error: str, sections: Level, merged: Mapping[str, Any], layers: Sequence[Layer]) -> ConfigurationError:
    """The error for msgspec's, with place and name: "--set registry.ttl=x: [registry] ttl: Expected `int`, ..."."""
    message, at, where = error.partition(" - at `$.")
    if not at:
        return ConfigurationError(error)
    path, level = _locate(where.rstrip("`").replace("[...]", "[]").split("."), sections, merged)
    key = _leading_key(message)
    at_fault = [*path, key] if level is not None and level.knows(key) else path
    name = _display(path) if level is None else f"[{'.'.join(path)}]"
    return ConfigurationError(f"{_place(at_fault, layers)}{name}: {message}{_choices_text(message, path, sections)}")


def named_error(path: Sequence[str], message: str, layers: Sequence[Layer]) -> ConfigurationError:
    """An error about the value at a path of keys, with its place and name."""
    return ConfigurationError(f"{_place(path, layers)}{_display(path)}: {message}")


def check_texts(table: Mapping[str, Any], place: str) -> None:
    """ConfigurationError for a text with a control character: an id or an address with a line end is a slip."""
    if found := control_character(table):
        path, character = found
        raise ConfigurationError(
            f"{place}: {_display(path)}: has a control character, {character}".replace("\n", "\\n")
        )


def _place(path: Sequence[str], layers: Sequence[Layer]) -> str:
    """The place that counts for a path of keys, with a colon."""
    return next((f"{layer.place}: " for layer in reversed(layers) if _has(layer.table, path)), "")


def _leading_key(message: str) -> str:
    found = _leading_key_of(message)
    return found[1] if found else ""


def _choices_text(message: str, path: Sequence[str], level: Level) -> str:
    """What a key may be, when msgspec says only that it is something else."""
    *tables, key = path
    for table in tables:
        below = level.below(table)
        assert below is not None  # a value has no keys
        level = below
    choices = [str(choice) for choice in level.choices(key)]
    return f"; there are: {', '.join(sorted(choices))}" if choices and message.startswith("Invalid enum value") else ""


def _locate(steps: list[str], level: Level | None, table: Any) -> tuple[list[str], Level | None]:  # noqa: ANN401
    """The path of an error, and the level there. `steps` are msgspec's: "issuers[]" for a table that the user names."""
    path = []
    for step in steps:
        key, bracket, _ = step.partition("[")
        path.append(key)
        level, table = level.below(key) if level else None, table.get(key)
        named = level.below("") if bracket and level and level.named_by_user else None
        if named is not None:
            path.append(next(name for name, value in table.items() if not _is_valid(value, named)))
            level, table = named, table[path[-1]]
    return path, level


def _is_valid(table: Mapping[str, Any], level: Level) -> bool:
    try:
        msgspec.convert(table, level.struct, strict=False)
    except msgspec.ValidationError:
        return False
    return True


def _has(table: Any, path: Sequence[str]) -> bool:  # noqa: ANN401 - whatever TOML holds
    for key in path:
        if not isinstance(table, Mapping) or key not in table:
            return False
        table = table[key]
    return True


def _nearest(name: str, known: Iterable[str]) -> str:
    """The known name that is most like this one; "" when none is."""
    return next(iter(difflib.get_close_matches(name, sorted(known), 1)), "")


def _display(path: Sequence[str]) -> str:
    """The name of a key as in TOML, [section.table] key; of a section, [section]."""
    *sections, key = path
    return f"[{'.'.join(sections)}] {key}" if sections else f"[{key}]"

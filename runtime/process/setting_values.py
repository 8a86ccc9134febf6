"""Core: the values of settings as texts: TOML, or plain text, by the type of the setting; and what no text may hold."""

import re
import tomllib
from collections.abc import Mapping, Sequence
from typing import Any

from runtime.process.schema import Level

LONGEST_SHOWN = 200  # characters of a flag in an error

_control_character = re.compile("[\x00-\x1f\x7f-\x9f]").search


class TomlError(Exception):
    """A text is no TOML."""


def shown(text: str) -> str:
    """A text for an error's one line: not too long, control characters escaped."""
    short = text if len(text) <= LONGEST_SHOWN else f"{text[: LONGEST_SHOWN - 3]}..."
    return re.sub(r"[\x00-\x1f\x7f-\x9f]", lambda found: found[0].encode("unicode_escape").decode(), short)


def read_toml(text: str) -> dict[str, Any]:
    """The table of a TOML text. TomlError: it is none."""
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise TomlError("nested too deeply") from None
    except ValueError as error:  # TOMLDecodeError is one, and a number of 5,000 digits another
        raise TomlError(str(error)) from None


def read_value(text: str, path: Sequence[str], level: Level) -> object:
    """The value of a variable or a flag. `path`: the setting's keys from `level` on, which may not know them.

    A setting that is a text has the text as its value, whatever it looks like in TOML: a node's id may be 42. Quoted as
    in TOML it has none of the quotes. Any other setting is a TOML value, if the whole text is one.
    """
    try:
        table = read_toml(f"value = {text}")
    except TomlError:
        return text
    if len(table) != 1:  # further lines with keys of their own
        return text
    value = table["value"]
    kept: tuple[type, ...] = (str, list) if level.takes_list(path) else (str,)
    return text if level.takes_text(path) and not isinstance(value, kept) else value


def control_character(table: Mapping[str, object], path: tuple[str, ...] = ()) -> tuple[tuple[str, ...], str] | None:
    """The first text that holds a control character: its keys, and the character as U+000A. None: no text does."""
    for key, value in table.items():
        if isinstance(value, Mapping) and (found := control_character(value, (*path, key))):
            return found
        for text in value if isinstance(value, list) else [value]:
            if isinstance(text, str) and (match := _control_character(text)):
                return (*path, key), f"U+{ord(match[0]):04X}"
    return None

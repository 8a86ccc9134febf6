"""Checks of a caller's arguments before any router is involved: each error names the argument and what was given.

TypeError: of the wrong kind. ValueError: no request can carry it. What else a value must be, the router says.
"""

import math
import os
from collections.abc import Iterable
from pathlib import Path

UINT32, UINT64 = 2**32 - 1, 2**64 - 1
MAX_SECONDS = 315_576_000_000  # of protobuf's Duration, either way


def check_text(name: str, value: object) -> str:
    """A text that UTF-8 can carry."""
    if not isinstance(value, str):
        raise _wrong_kind(name, "str", value)
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError(f"{name}: {_shown(value)} has a lone surrogate, which UTF-8 cannot carry") from None
    return value


def check_number(name: str, value: object, high: int = UINT64) -> int:
    """A whole number from 0 to `high`."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise _wrong_kind(name, "int", value)
    if not 0 <= value <= high:
        raise ValueError(f"{name}: {_shown(value)} is not from 0 to {high}")
    return value


def check_seconds(name: str, value: object) -> float:
    """A finite number of seconds."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise _wrong_kind(name, "a number of seconds", value)
    if not (math.isfinite(value) and -MAX_SECONDS <= value <= MAX_SECONDS):
        raise ValueError(f"{name}: {_shown(value)} is no duration in seconds")
    return value


def check_wait(name: str, value: object) -> float:
    """A finite number of seconds that is not negative."""
    seconds = check_seconds(name, value)
    if seconds < 0:
        raise ValueError(f"{name}: {_shown(value)} is negative")
    return seconds


def check_path(name: str, value: object) -> Path:
    """A path in the file system."""
    if not isinstance(value, str | os.PathLike):
        raise _wrong_kind(name, "str or os.PathLike", value)
    text = os.fsdecode(value)
    if not text or "\0" in text:
        raise ValueError(f"{name}: {_shown(value)} is no path; the working directory is .")
    return Path(text)


def check_flag(name: str, value: object) -> bool:
    """True or False."""
    if not isinstance(value, bool):
        raise _wrong_kind(name, "bool", value)
    return value


def check_sessions(name: str, value: object) -> list[int]:
    """Several session ids. One text is not several of them, although it can be iterated."""
    if isinstance(value, str | bytes | bytearray) or not isinstance(value, Iterable):
        raise _wrong_kind(name, "several session ids (int)", value)
    return [check_number(name, one) for one in value]


def _wrong_kind(name: str, expected: str, value: object) -> TypeError:
    return TypeError(f"{name} must be {expected}, not {type(value).__name__}: {_shown(value)}")


def _shown(value: object) -> str:
    try:
        text = ascii(value)
    except Exception:  # the value is a stranger's: it may not even have a text
        return f"a {type(value).__name__}"
    return text if len(text) <= 80 else f"{text[:77]}..."

"""The files that settings name are looked at before anything reads them whole.

A key or a certificate is a regular file of a few kilobytes. A pipe that nobody writes would hang the start, and a
device such as /dev/zero would fill the memory.
"""

import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from runtime.process.schema import Level

MAX_FILE = 1_048_576  # bytes


def unfit_file(path: str) -> str:
    """Why a file cannot be what a setting names; "" when it can."""
    try:
        found = Path(path).stat()
    except (OSError, ValueError) as error:
        return getattr(error, "strerror", None) or str(error)
    if not stat.S_ISREG(found.st_mode):
        return "is no regular file"
    if found.st_size > MAX_FILE:
        return f"has {found.st_size} bytes; a key or a certificate has at most {MAX_FILE}"
    return ""


def read_text(path: Path) -> str:
    """A configuration file's text, which may come from a pipe. OSError. ValueError: it is too long, or not UTF-8."""
    with path.open("rb") as file:
        raw = file.read(MAX_FILE + 1)
    if len(raw) > MAX_FILE:
        raise ValueError(f"more than {MAX_FILE} bytes")
    return raw.decode()


def named_files(
    table: Mapping[str, Any], level: Level, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], str]]:
    """The files that a checked table names: each setting's keys, and the file."""
    for key, value in table.items():
        below = level.below(key)
        if below is not None:
            yield from named_files(value, below, (*path, key))
        elif key in level.files and value:
            yield (*path, key), str(value)

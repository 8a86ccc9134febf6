"""The payload of a push or a reply: literal, from a file, or from stdin."""

import sys
from pathlib import Path
from typing import BinaryIO

import click

from homing.cluster.errors import CommandError

METAVAR = "JSON|@FILE|-"
HELP = "The payload: literal, from a file, or from stdin."
MAX_DATA = 16 << 20  # bytes that are read; a router takes less, and says how much


def read_data(data: str) -> bytes:
    """The payload of --data. CommandError: its file cannot be read. click.BadParameter: none is named."""
    if data == "-":
        if sys.stdin is None:
            raise CommandError("--data: cannot read stdin: it is closed")
        return _read("stdin", sys.stdin.buffer)
    if not data.startswith("@"):
        return data.encode()
    name = data[1:]
    if not name or "\0" in name:
        raise click.BadParameter(f"{data!r} names no file, as @cat.png does", param_hint="--data")
    try:
        with Path(name).open("rb") as file:
            return _read(name, file)
    except OSError as error:
        raise CommandError(f"--data: cannot read {name}: {error.strerror}") from None


def _read(name: str, file: BinaryIO) -> bytes:
    """All of a file, which may have no end, as /dev/zero has none."""
    raw = file.read(MAX_DATA + 1)
    if len(raw) > MAX_DATA:
        raise CommandError(f"--data: {name} has more than {MAX_DATA} bytes")
    return raw

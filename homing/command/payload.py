"""The payload of a push or a reply: literal, from a file, or from stdin."""

import sys
from pathlib import Path

from homing.cluster.errors import CommandError

METAVAR = "JSON|@FILE|-"
HELP = "The payload: literal, from a file, or from stdin."


def read_data(data: str) -> bytes:
    """The payload of --data. CommandError: its file cannot be read."""
    if data == "-":
        return sys.stdin.buffer.read()
    if not data.startswith("@"):
        return data.encode()
    try:
        return Path(data[1:]).read_bytes()
    except OSError as error:
        raise CommandError(f"--data: cannot read {data[1:]}: {error.strerror}") from None

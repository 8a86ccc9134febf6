"""A shell may start a command with closed streams (`homing locate ... >&-`, `<&-`): Python then has None for them."""

import os
import sys
from collections.abc import Sequence

from homing.command.output import OutputError

SERVICES = ("gateway", "router")  # print a line for whoever started them, and work without a reader
_closed = set[str]()


def open_closed() -> None:
    """Open closed descriptors on /dev/null, or the next file or socket would be taken for a standard stream.

    stdin stays None: whoever is to read it must not take it for an empty one.
    """
    null = os.open(os.devnull, os.O_RDWR)
    while null <= 2:
        null = os.open(os.devnull, os.O_RDWR)
    os.close(null)
    for name, number in (("stdout", 1), ("stderr", 2)):
        if getattr(sys, name) is None:
            _closed.add(name)
            setattr(sys, name, os.fdopen(number, "w", encoding="utf-8", closefd=False))


def check_stdout(arguments: Sequence[str]) -> None:
    """OutputError: stdout was closed, and the verb is there to print."""
    if "stdout" in _closed and not (arguments and arguments[0] in SERVICES):
        raise OutputError("cannot write the output: stdout is closed")

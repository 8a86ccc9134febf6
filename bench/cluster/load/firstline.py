"""The first line that a process of the load generator gets: what it is."""

import json
import os
from typing import Any


def first_line() -> dict[str, Any]:
    """Read byte by byte, with no buffer: what follows is the event loop's to read."""
    line = b""
    while (piece := os.read(0, 1)) not in (b"", b"\n"):
        line += piece
    told: dict[str, Any] = json.loads(line)
    return told

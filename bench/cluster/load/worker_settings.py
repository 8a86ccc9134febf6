"""The settings of a worker process: the first line of its stdin."""

import json
import os
from typing import Any


def read_settings() -> dict[str, Any]:
    """Read the first line byte by byte, without a buffer: the rest of stdin belongs to the event loop."""
    line = b""
    while (byte := os.read(0, 1)) not in (b"", b"\n"):
        line += byte
    settings: dict[str, Any] = json.loads(line)
    return settings

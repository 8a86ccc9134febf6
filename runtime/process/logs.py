"""Shell: structured logs on stderr: JSON lines, or plain text on a terminal. Modules use `logging.getLogger(__name__)`.

Credentials are never logged. The last processor redacts what looks like one all the same, because the text of an
exception may contain a URL.
"""

import logging
import re
import sys
from typing import Literal

import msgspec
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger


class LogSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[log]`: the service's log: JSON lines on stderr, plain text on a terminal."""

    level: Literal["debug", "info", "warning", "error"] = "info"  # The lowest level that is logged.


CHATTY = ("hpack",)  # libraries whose debug lines are one per header, and show what headers hold

_SECRET = re.compile(r"((?:token|authorization|bearer)[=:\s]+)[A-Za-z0-9._~+/=-]{8,}", re.IGNORECASE)


def redact(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Replace what follows `token=`, `Authorization:` or `Bearer` in any text of the event."""
    for key, value in event.items():
        if isinstance(value, str):
            event[key] = _SECRET.sub(r"\1***", value)
    return event


def configure(level: str = "info", **bound: str) -> None:
    """Send every log of this process to stderr. `bound`: fields of each line, such as the service."""
    shared: list[Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        lambda _logger, _method, event: {**bound, **event},
        structlog.processors.format_exc_info,
        redact,
    ]
    render: Processor = (
        structlog.dev.ConsoleRenderer() if sys.stderr.isatty() else structlog.processors.JSONRenderer(sort_keys=True)
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, render],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name in CHATTY:
        logging.getLogger(name).setLevel(max(root.level, logging.INFO))

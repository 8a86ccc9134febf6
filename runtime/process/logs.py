"""Structured logs on stderr: JSON lines, or words on a terminal. Modules log with `logging.getLogger(__name__)`.

Nothing is logged that could be a credential; the last processor still blanks what looks like one, because a URL in an
exception's text is not ours to phrase.
"""

import logging
import re
import sys
from typing import Literal

import msgspec
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger


class LogSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[log]` of a service's configuration."""

    level: Literal["debug", "info", "warning", "error"] = "info"


_SECRET = re.compile(r"((?:token|authorization|bearer)[=:\s]+)[A-Za-z0-9._~+/=-]{8,}", re.IGNORECASE)


def redact(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Blank what follows `token=`, `Authorization:` or `Bearer` in any text of the event."""
    for key, value in event.items():
        if isinstance(value, str):
            event[key] = _SECRET.sub(r"\1***", value)
    return event


def set_up(level: str = "info", **bound: str) -> None:
    """Send every log of this process to stderr; `bound` (service, node) stands in each line."""
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

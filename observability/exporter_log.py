"""Shell: what OpenTelemetry's exporters log, kept instead of printed: they log every attempt, we log every change."""

import logging

LOGGER = logging.getLogger("opentelemetry.exporter")


class ExporterLog(logging.Handler):
    """Receives the records of all exporters until `close`. `last`: the text of the newest; "" for none."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.last = ""
        LOGGER.addHandler(self)
        LOGGER.propagate = False

    def emit(self, record: logging.LogRecord) -> None:
        self.last = record.getMessage()

    def close(self) -> None:
        """Let the exporters' records through again, once no other handler takes them."""
        LOGGER.removeHandler(self)
        LOGGER.propagate = not any(isinstance(handler, ExporterLog) for handler in LOGGER.handlers)
        super().close()

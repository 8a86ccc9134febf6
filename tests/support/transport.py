"""A transport in memory: what was written, and how full the kernel is, are the test's to see and to set."""

import asyncio


class MemoryTransport(asyncio.Transport):
    """Takes writes until `full`; then it keeps them, and tells the protocol as uvloop does (from within `write`)."""

    def __init__(self) -> None:
        super().__init__()
        self.protocol: asyncio.Protocol | None = None
        self.written = b""
        self.kept = b""
        self.full = False
        self.reading = True
        self.eof = False
        self.closing = False
        self.aborted = False

    def write(self, data) -> None:
        if self.closing:
            return
        if not self.full:
            self.written += data
            return
        first = not self.kept
        self.kept += data
        if first:
            self.protocol.pause_writing()

    def drain(self) -> None:
        """The kernel takes what was kept."""
        self.full = False
        self.written += self.kept
        self.kept = b""
        self.protocol.resume_writing()

    def get_write_buffer_size(self) -> int:
        return len(self.kept)

    def set_write_buffer_limits(self, high=None, low=None) -> None:
        assert high == 1

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.eof = True

    def is_closing(self) -> bool:
        return self.closing

    def close(self) -> None:
        self.closing = True

    def abort(self) -> None:
        self.closing = self.aborted = True

    def lose(self) -> None:
        """The connection ends."""
        protocol, self.protocol = self.protocol, None
        protocol.connection_lost(None)

"""Core: what all clients together may have sent of messages that are not complete (docs/protocol.md, "Limits").

Slow uploads must not fill a node's memory. While the budget is exceeded the oldest unfinished message is read on, and
the newer ones are not: so each of them completes, one after the other, however full it is.
"""

from typing import Protocol


class Upload(Protocol):
    """A transport with an unfinished message."""

    def hold_upload(self) -> None:
        """Read nothing more until `continue_upload`."""
        ...

    def continue_upload(self) -> None: ...


class UnfinishedMessages:
    """One for a node. `limit`: bytes."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._sizes: dict[Upload, int] = {}  # oldest first
        self._held: dict[Upload, None] = {}  # oldest first
        self.total = 0  # bytes

    def update(self, upload: Upload, size: int) -> None:
        """So many bytes of this transport's message are here now; 0: none is unfinished."""
        self.total += size - self._sizes.get(upload, 0)
        if size:
            self._sizes[upload] = size
        else:
            self._sizes.pop(upload, None)
            self._held.pop(upload, None)
        if self.total > self._limit and size and upload is not next(iter(self._sizes)):
            if upload not in self._held:
                self._held[upload] = None
                upload.hold_upload()
        elif self._held:
            self._continue()

    def _continue(self) -> None:
        """Read on where it may be: the oldest in any case, the others while there is room."""
        for upload in list(self._held):
            if self.total <= self._limit or upload is next(iter(self._sizes)):
                del self._held[upload]
                upload.continue_upload()

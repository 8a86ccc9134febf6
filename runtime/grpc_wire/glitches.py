"""Core: how many useless frames a client may send (what HAProxy and nghttp2 call glitches).

A peer that sends frames which make a server work and ask nothing of it (empty SETTINGS, PING, PRIORITY, DATA byte by
byte, requests that it resets at once) is cut with ENHANCE_YOUR_CALM. One budget counts them all: it is spent by such
frames, refilled by useful ones and by time, and never above its size. So keepalive pings, the window updates of someone
who reads, and cancelled calls among answered ones never end a connection.

CVE-2019-9512 to 9518, CVE-2023-44487 (rapid reset), CVE-2025-8671 (resets that the server was made to send).
"""

from typing import Final

PER_SECOND: Final = 100  # refilled by time
FRAME: Final = 1  # the cost of a useless frame
RESET: Final = 10  # the cost of a stream that was opened for nothing; refilled by one that is answered
FIELDS: Final = 32  # fields of a header block that was refused cost one more
USEFUL_CHUNK: Final = 1024  # bytes of DATA that a window allows at once: more of them refill what the window cost
SMALL_DATA: Final = 16  # bytes of a DATA frame that ends nothing: fewer are useless
WINDOW_UPDATES: Final = 3  # refilled by data that we send: its receiver may update two windows


class GlitchBudget:
    """The budget of one connection."""

    __slots__ = ("_size", "left")

    def __init__(self, size: int) -> None:
        self._size = size
        self.left = size

    def spend(self, cost: int) -> bool:
        """Whether the budget allowed it."""
        self.left -= cost
        return self.left >= 0

    def refill(self, gain: int) -> None:
        """Something useful was done, or a second has passed (`PER_SECOND`)."""
        left = self.left + gain
        self.left = left if left < self._size else self._size

"""Shell: reads the bodies of HTTP requests, within a size, a time and a budget that all unfinished ones share."""

import asyncio
from typing import Final

from aiohttp import web

BUDGET: Final = 64 * 1024 * 1024  # bytes of one listener
TIMEOUT: Final = 30.0  # seconds for one body


class BodyRefused(Exception):
    """A body that is not taken; the message says why."""


class TooManyBodies(BodyRefused):
    """The budget is used up by others: a later try may succeed."""


class RequestBodies:
    """The bodies that one listener reads."""

    def __init__(self, max_size: int, budget: int = BUDGET, timeout: float = TIMEOUT) -> None:
        """`max_size`: bytes of one body, decompressed. `timeout`: seconds."""
        self._max_size = max_size
        self._left = budget
        self._timeout = timeout

    async def read(self, request: web.Request) -> bytes:
        """The whole body. BodyRefused for one that is too large, too slow, malformed, or one too many."""
        body = bytearray()
        try:
            async with asyncio.timeout(self._timeout):
                while chunk := await request.content.readany():
                    self._take(body, len(chunk))
                    body += chunk
        except TimeoutError:
            raise BodyRefused(f"did not arrive within {self._timeout:g} s") from None
        except (web.RequestPayloadError, ConnectionError) as error:
            if request.transport is None or request.transport.is_closing():
                raise  # the caller has disconnected
            raise BodyRefused("is not what its Content-Encoding or Transfer-Encoding says") from error
        finally:
            self._left += len(body)
        return bytes(body)

    def _take(self, body: bytearray, size: int) -> None:
        if len(body) + size > self._max_size:
            raise BodyRefused(f"more than {self._max_size} bytes")
        if size > self._left:
            raise TooManyBodies("too many large requests are being read; try again")
        self._left -= size

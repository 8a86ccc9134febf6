"""Shell: carries one command out by the API's own calls, as often as it takes."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from router.api import json_mapping
from router.api.calls import Calls
from router.commands.command import OPERATORS, Origin, complete, operator_of
from router.push import CallRefused

PAUSE = 0.1  # seconds between two tries, unless the refusal names another time
SILENCE = 60.0  # seconds in which a node that does not answer is asked again


class CommandDispatcher:
    """Knows which call an operator is."""

    def __init__(self, calls: Calls) -> None:
        self._calls: dict[str, Callable[[Any], Awaitable[object]]] = {
            "unicast": calls.push,
            "broadcast": calls.push,
            "join": calls.join,
            "leave": calls.leave,
            "disconnect": calls.disconnect,
            "reply": calls.reply,
        }

    async def carry(self, headers: Mapping[str, str], value: bytes | None, origin: Origin) -> None:
        """Until it is done. Refused: it cannot be.

        A full queue (RESOURCE_EXHAUSTED) passes, so it is waited for; a node that does not answer (UNAVAILABLE) is
        either back or gone within SILENCE.
        """
        operator = operator_of(headers, value)
        request = json_mapping.read(value or b"", OPERATORS[operator]())
        complete(operator, request, headers, origin)
        began = time.monotonic()
        while True:
            try:
                await self._calls[operator](request)
            except CallRefused as refused:
                silent = refused.code == "UNAVAILABLE" and time.monotonic() - began < SILENCE
                if refused.code != "RESOURCE_EXHAUSTED" and not silent:
                    raise
                await asyncio.sleep(refused.retry_after or PAUSE)
            else:
                return

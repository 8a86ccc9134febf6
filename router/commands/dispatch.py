"""Shell: execution of one command by the API's own calls, with retries."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from router.api import json_mapping
from router.api.calls import Calls
from router.caller import Caller
from router.commands.command import OPERATORS, Origin, complete_push, operator_of
from router.push import CallRefused

RETRY_PAUSE = 0.1  # seconds between two tries, unless the refusal has a retry_after
UNAVAILABLE_LIMIT = 60.0  # seconds for which a node that does not answer is tried again


class CommandDispatcher:
    """Maps operators to calls."""

    def __init__(self, calls: Calls) -> None:
        self._calls: dict[str, Callable[[Caller, Any], Awaitable[object]]] = {
            "unicast": calls.push,
            "broadcast": calls.push,
            "join": calls.join,
            "leave": calls.leave,
            "disconnect": calls.disconnect,
            "reply": calls.reply,
        }

    async def dispatch(self, caller: Caller, headers: Mapping[str, str], value: bytes | None, origin: Origin) -> None:
        """Execute one command to its end. Raises CallRefused: the command cannot be executed.

        RESOURCE_EXHAUSTED (a full queue) is retried for ever, UNAVAILABLE (a node does not answer) for 60 s.
        """
        operator = operator_of(headers, value)
        request = json_mapping.decode(value or b"", OPERATORS[operator]())
        complete_push(operator, request, headers, origin)
        began = time.monotonic()
        while True:
            try:
                await self._calls[operator](caller, request)
            except CallRefused as refused:
                unavailable = refused.code == "UNAVAILABLE" and time.monotonic() - began < UNAVAILABLE_LIMIT
                if refused.code != "RESOURCE_EXHAUSTED" and not unavailable:
                    raise
                await asyncio.sleep(refused.retry_after or RETRY_PAUSE)
            else:
                return

"""Shell: closes many connections a few at a time, so that their clients do not all come back in one instant."""

import asyncio
from collections.abc import Sequence

from gateway.sessions.session import SessionConnection

PACE = 200  # connections closed before other work gets a turn


async def close_paced(connections: Sequence[SessionConnection], per_second: float | None = None) -> None:
    """Ask each client to reconnect and close it with 1012. `per_second`: closes a second; None: as fast as it goes."""
    for start in range(0, len(connections), PACE):
        for connection in connections[start : start + PACE]:
            connection.request_reconnect()
        await asyncio.sleep(PACE / per_second if per_second else 0)

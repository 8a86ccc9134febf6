"""Shell: tells many clients to come back, a few at a time, so that they do not all come back in one instant."""

import asyncio
from collections.abc import Sequence

from gateway.sessions.session import SessionConnection

PACE = 200  # connections before other work gets a turn


async def request_reconnects(
    connections: Sequence[SessionConnection], per_second: float | None = None, *, close: bool
) -> None:
    """Tell each client to connect elsewhere. `close`: and close it with 1012 at once; otherwise only where its protocol
    cannot say so, and the others open their new connection first. `per_second`: clients a second; None: as fast as it
    goes."""
    for start in range(0, len(connections), PACE):
        for connection in connections[start : start + PACE]:
            connection.request_reconnect(close=close)
        await asyncio.sleep(PACE / per_second if per_second else 0)

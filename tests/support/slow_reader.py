"""Clients at the far end of slow lines, one a line: `python -m tests.support.slow_reader URL TOKEN FILE ...`.

Each argument triple is one client. Prints a line of JSON for each when it has the message "end" or is closed: the
numbers of the pushes in the order of their arrival, the time of the longest silence, the close code (0: none).
"""

import asyncio
import json
import sys
import time
from typing import Any

import websockets


async def read(url: str, token: str, file: str) -> dict[str, Any]:
    """One client, from its handshake to its end."""
    numbers: list[int] = []
    silence, heard = 0.0, time.monotonic()
    async with websockets.connect(
        url,
        subprotocols=[websockets.Subprotocol("homing.json")],
        additional_headers={"Authorization": f"Bearer {token}"},
        compression=None,
        ping_interval=None,
    ) as connection:
        await connection.recv()
        await connection.send(json.dumps({"type": "join", "file": file, "id": 1}))
        await connection.recv()
        print("joined", flush=True)
        try:
            async for text in connection:
                now = time.monotonic()
                silence, heard = max(silence, now - heard), now
                message = json.loads(text)
                if message.get("event") == "end":
                    break
                if message["type"] == "event":
                    numbers.append(message["data"]["n"])
        except websockets.ConnectionClosed:
            pass
        code = connection.close_code or 0
    return {"numbers": numbers, "silence": round(silence, 2), "code": code}


async def main(arguments: list[str]) -> None:
    """All clients at once."""
    triples = zip(*[iter(arguments)] * 3, strict=True)
    for result in await asyncio.gather(*(read(*triple) for triple in triples)):
        print(json.dumps(result), flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))

"""Many clients are told to come back a few at a time, and nobody waits after the last."""

import asyncio

import pytest

from gateway.sessions import pacing
from gateway.sessions.pacing import request_reconnects


class Client:
    """Counts what it is told."""

    def __init__(self) -> None:
        self.told: list[bool] = []

    def request_reconnect(self, *, close: bool) -> None:
        self.told.append(close)


@pytest.mark.parametrize(("clients", "pauses"), [(0, []), (2, []), (3, [0.5]), (5, [0.5, 0.5])])
async def test_there_is_a_pause_between_two_groups(
    monkeypatch: pytest.MonkeyPatch, clients: int, pauses: list[float]
) -> None:
    paused: list[float] = []

    async def pause(seconds: float) -> None:
        paused.append(seconds)

    monkeypatch.setattr(pacing, "PACE", 2)
    monkeypatch.setattr(asyncio, "sleep", pause)
    group = [Client() for _ in range(clients)]
    await request_reconnects(group, 4.0, close=True)  # type: ignore[arg-type]
    assert paused == pauses
    assert [client.told for client in group] == [[True]] * clients

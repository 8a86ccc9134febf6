"""Which server is dialled: the next one when the first cannot be reached, or does not answer."""

import asyncio

import pytest

from runtime.grpc_wire import channel
from runtime.grpc_wire.channel import Channel

FIRST, SECOND = ("first", 1), ("second", 2)


class ScriptedChannel(Channel):
    """A channel whose addresses hang or refuse as scripted."""

    def __init__(self, hangs: set[str], refuses: set[str]) -> None:
        async def find() -> list[tuple[str, int]]:
            return [FIRST, SECOND]

        super().__init__(find)
        self.hangs, self.refuses = hangs, refuses
        self.tried: list[str] = []

    async def _dial(self, host: str, port: int):
        self.tried.append(host)
        if host in self.hangs:
            await asyncio.Event().wait()
        if host in self.refuses:
            raise ConnectionRefusedError(host)
        return host


@pytest.mark.parametrize(("hangs", "refuses"), [({"first"}, set()), (set(), {"first"})])
async def test_the_next_one_is_dialled(monkeypatch, hangs: set[str], refuses: set[str]) -> None:
    monkeypatch.setattr(channel, "CONNECT_TIMEOUT", 0.01)
    scripted = ScriptedChannel(hangs, refuses)
    assert await scripted._connect() == "second"
    assert scripted.tried == ["first", "second"]


async def test_when_no_server_answers_the_error_is_the_last_one_s(monkeypatch) -> None:
    monkeypatch.setattr(channel, "CONNECT_TIMEOUT", 0.01)
    with pytest.raises(ConnectionError, match="second:2 does not answer"):
        await ScriptedChannel({"first", "second"}, set())._connect()
    refusing = ScriptedChannel(set(), {"first", "second"})
    with pytest.raises(ConnectionRefusedError, match="second"):
        await refusing._connect()

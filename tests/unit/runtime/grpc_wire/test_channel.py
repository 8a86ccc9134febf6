"""Which server is dialled: the next one when the first cannot be reached, or does not answer."""

import asyncio

import pytest

from runtime.grpc_wire import channel
from runtime.grpc_wire.channel import Channel

FIRST, SECOND = ("first", 1), ("second", 2)


class Dialled(Channel):
    """A channel whose dialling is the test's."""

    def __init__(self, hangs: set[str], refuses: set[str]) -> None:
        async def find() -> list[tuple[str, int]]:
            return [FIRST, SECOND]

        super().__init__(find)
        self.hangs, self.refuses = hangs, refuses
        self.tried: list[str] = []

    async def _open(self, host: str, port: int):
        self.tried.append(host)
        if host in self.hangs:
            await asyncio.Event().wait()
        if host in self.refuses:
            raise ConnectionRefusedError(host)
        return host


@pytest.mark.parametrize(("hangs", "refuses"), [({"first"}, set()), (set(), {"first"})])
async def test_the_next_one_is_dialled(monkeypatch, hangs: set[str], refuses: set[str]) -> None:
    monkeypatch.setattr(channel, "DIAL", 0.01)
    dialled = Dialled(hangs, refuses)
    assert await dialled._dial() == "second"
    assert dialled.tried == ["first", "second"]


async def test_when_nobody_answers_that_is_said_of_the_last(monkeypatch) -> None:
    monkeypatch.setattr(channel, "DIAL", 0.01)
    with pytest.raises(ConnectionError, match="second:2 does not answer"):
        await Dialled({"first", "second"}, set())._dial()
    channel_of_nobody = Dialled(set(), {"first", "second"})
    with pytest.raises(ConnectionRefusedError, match="second"):
        await channel_of_nobody._dial()

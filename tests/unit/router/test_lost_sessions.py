"""The disconnects of sessions whose gateway is lost: published once the bus is there, and told when it has them."""

import asyncio

import pytest

from observability import names
from observability.counters import counters
from registry.model import Incarnation, SessionInfo, SessionRoute
from router import lost_sessions
from router.lost_sessions import LostSessions
from runtime.bus.port import BusUnavailable
from runtime.events.port import Record

GONE = Incarnation("gone", 7)


class Sink:
    """A sink that the test empties."""

    def __init__(self, away: int) -> None:
        self.away = away  # times that it cannot be opened
        self.records: list[Record] = []
        self.closed = 0
        self.opened = False

    async def open(self) -> None:
        if self.away:
            self.away -= 1
            raise BusUnavailable("away")
        self.opened = True

    def publish_own(self, record: Record) -> None:
        self.records.append(record)

    async def run(self) -> None:
        await asyncio.Event().wait()

    async def close(self) -> None:
        self.closed += 1


def route(sid: int) -> SessionRoute:
    return SessionRoute(sid, f"user-{sid}", GONE, 1, SessionInfo("/", "app", 5))


@pytest.mark.parametrize("away", [0, 2])
async def test_each_session_is_published_and_waited_for(monkeypatch: pytest.MonkeyPatch, away: int) -> None:
    monkeypatch.setattr(lost_sessions, "RETRY", 0.0)
    sink, counted = Sink(away), counters(names.ROUTER)
    lost = LostSessions(lambda: sink, counted)  # type: ignore[arg-type, return-value]
    publishing = asyncio.ensure_future(lost.publish([route(1), route(2)]))
    while len(sink.records) < 2:
        await asyncio.sleep(0)
    assert not publishing.done()
    assert sink.records[0].headers == {
        "X-ID": "1",
        "X-Uid": "user-1",
        "X-Event": "disconnect",
        "X-Auth-Type": "app",
        "X-Namespace": "/",
        "X-Reason": "1006 node_lost",
    }
    assert [(record.key, record.value, record.on_taken is None) for record in sink.records] == [
        ("user-1", b"", True),
        ("user-2", b"", False),
    ]
    assert sink.records[1].on_taken is not None
    sink.records[1].on_taken()
    await publishing
    assert counted.sessions_lost == 2
    await lost.close()
    assert sink.closed == away + 1


async def test_a_router_that_sweeps_nothing_opens_no_bus() -> None:
    sink = Sink(0)
    lost = LostSessions(lambda: sink, counters(names.ROUTER))  # type: ignore[arg-type, return-value]
    await lost.publish([])
    await lost.close()
    assert not sink.opened
    assert not sink.closed

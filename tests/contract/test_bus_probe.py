"""What `/readyz` knows of the buses: nothing while they answer, and which one does not, why, and what to do."""

import asyncio

import pytest

from runtime.bus import probe
from runtime.bus.probe import BusProbe, checks
from runtime.bus.settings import BusSection
from tests.support.servers import Server

pytestmark = pytest.mark.timeout(60)


async def test_buses_that_answer_are_not_mentioned(redis: Server, kafka: Server) -> None:
    bus = BusSection(redis=f"redis://{redis.endpoint}", kafka=kafka.endpoint)
    one = BusProbe(checks(bus, redis=True, kafka=True))
    await one.check_all()
    assert one.why_away() == []


async def test_a_redis_that_answers_and_a_kafka_that_does_not(redis: Server) -> None:
    bus = BusSection(redis=f"redis://{redis.endpoint}", kafka="127.0.0.1:1", timeout=0.5)
    one = BusProbe(checks(bus, redis=True, kafka=True))
    await one.check_all()
    (reason,) = one.why_away()
    assert reason.startswith("bus.kafka: 127.0.0.1:1 does not answer (")


async def test_a_dead_redis_is_named_without_its_password() -> None:
    bus = BusSection(redis="redis://user:secret@127.0.0.1:1", timeout=0.5)
    one = BusProbe(checks(bus, redis=True, kafka=False))
    await one.check_all()
    (reason,) = one.why_away()
    assert reason.startswith("bus.redis: redis://127.0.0.1:1 does not answer (")
    assert reason.endswith("is Redis running? `homing up` starts one")


async def test_a_probe_goes_on_checking(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "INTERVAL", 0.0)
    again = asyncio.Event()
    done: list[None] = []

    async def check() -> None:
        done.append(None)
        if len(done) == 3:
            again.set()

    running = asyncio.ensure_future(BusProbe([check]).run())
    await again.wait()
    running.cancel()
    assert checks(BusSection(), redis=False, kafka=False) == []

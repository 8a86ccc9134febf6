"""The admin listener, over a loopback socket."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest

from observability import names
from observability.counters import Counters, counters
from observability.metrics import Exposition
from runtime.process.addresses import split_address
from runtime.process.admin import AdminListener
from runtime.process.readiness import Readiness


class Service:
    """A service with an admin listener."""

    def __init__(self) -> None:
        self.readiness = Readiness(["starting"], ["Redis is away"])
        self.counters: Counters = counters(names.ROUTER)
        exposition = Exposition("homing_test", names.ROUTER, self.counters, {"sessions": lambda: 3.0})
        self.admin = AdminListener(self.check, exposition.scrape)
        self.address = ""

    async def check(self) -> Readiness:
        return self.readiness

    async def get(self, path: str) -> tuple[int, str, str]:
        """Status, content type and body of one request."""
        reader, writer = await asyncio.open_connection(*split_address(self.address, "test"))
        writer.write(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode())
        head, _, body = (await reader.read()).decode().partition("\r\n\r\n")
        writer.close()
        await writer.wait_closed()
        first, *lines = head.split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        return int(first.split()[1]), headers["content-type"], body


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    one = Service()
    one.address = await one.admin.listen("127.0.0.1", 0)
    yield one
    await one.admin.close()


async def test_livez_answers_while_the_loop_runs(service: Service) -> None:
    status, _, body = await service.get("/livez")
    assert (status, json.loads(body)) == (200, {"alive": True})


async def test_readyz_has_the_reason_until_the_service_is_ready(service: Service) -> None:
    status, _, body = await service.get("/readyz")
    assert (status, json.loads(body)) == (503, {"ready": False, "why": "starting", "degraded": ["Redis is away"]})
    service.readiness = Readiness()
    status, kind, body = await service.get("/readyz")
    assert (status, json.loads(body)) == (200, {"ready": True, "why": "", "degraded": []})
    assert kind.startswith("application/json")


async def test_metrics_are_prometheus_text(service: Service) -> None:
    status, kind, body = await service.get("/metrics")
    assert status == 200
    assert kind == "text/plain; charset=utf-8"
    assert "\nhoming_test_sessions 3.0\n" in body


async def test_other_paths_are_not_found(service: Service) -> None:
    assert (await service.get("/"))[0] == 404


async def test_a_port_in_use_is_an_error(service: Service) -> None:
    other = Service()
    with pytest.raises(OSError, match="in use"):
        await other.admin.listen(*split_address(service.address, "test"))
    await other.admin.close()


async def test_after_close_nobody_listens(service: Service) -> None:
    await service.admin.close()
    with pytest.raises(ConnectionRefusedError):
        await service.get("/livez")

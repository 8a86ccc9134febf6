"""The administration of several workers as one."""

import aiohttp

from observability import names
from observability.counters import counters
from observability.metrics import Exposition
from runtime.process.admin import AdminListener
from runtime.process.readiness import Readiness
from runtime.process.workers_admin import WorkersAdmin


async def _worker(readiness: Readiness, pushes: int) -> tuple[AdminListener, str]:
    counted = counters(names.ROUTER)
    counted.pushes += pushes

    async def check() -> Readiness:
        return readiness

    exposition = Exposition("homing_router", names.ROUTER, counted, {"sessions": lambda: 3.0})
    admin = AdminListener(check, exposition.scrape)
    return admin, await admin.listen("127.0.0.1", 0)


async def test_ready_when_all_are_and_the_metrics_of_each() -> None:
    good, one = await _worker(Readiness(degraded=["Redis is away"]), 2)
    waiting, other = await _worker(Readiness(["starting"]), 5)
    whole = WorkersAdmin([one, other, "127.0.0.1:1"])
    address = await whole.listen("127.0.0.1", 0)
    async with aiohttp.ClientSession() as http:
        async with http.get(f"http://{address}/readyz") as answer:
            assert (answer.status, await answer.json()) == (
                503,
                {
                    "ready": False,
                    "why": "worker 1: starting; worker 2 does not answer",
                    "degraded": ["worker 0: Redis is away"],
                },
            )
        async with http.get(f"http://{address}/metrics") as answer:
            text = await answer.text()
    assert 'homing_router_pushes_total{worker="0"} 2.0' in text
    assert 'homing_router_pushes_total{worker="1"} 5.0' in text
    assert 'homing_router_sessions{worker="1"} 3.0' in text
    assert text.count("# TYPE homing_router_pushes_total counter") == 1
    for listener in (whole, good, waiting):
        await listener.close()

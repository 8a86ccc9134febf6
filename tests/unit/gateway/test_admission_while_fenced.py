"""A client that comes when the lease is gone, and this node does not know yet: its registration shows it."""

import asyncio

from gateway.door.values import Arrival, Refusal
from registry.memory import MemoryStore
from tests.support.gateway import ADDRESS, JSON, GatewayRig
from tests.support.wire import identity


class SlowGrants(MemoryStore):
    """Grants no lease while `open` is not set: a new incarnation takes its time, as with a real etcd."""

    def __init__(self) -> None:
        super().__init__()
        self.open = asyncio.Event()
        self.open.set()

    async def grant(self, ttl: int) -> int:
        await self.open.wait()
        return await super().grant(ttl)


async def test_nobody_is_admitted_between_two_incarnations() -> None:
    """Such a client was `registered` false at once, and OFFLINE for its pushes (experiment 9)."""
    store = SlowGrants()
    rig = GatewayRig(store)
    await rig.loop.start()
    running = asyncio.ensure_future(rig.loop.run())
    try:
        for _ in range(5):  # the first keepalive has been answered
            await asyncio.sleep(0)
        store.open.clear()
        for lease in list(store._leases):
            await store.revoke(lease)
        ada = identity("ada")
        entered = await rig.admission.admit(Arrival(JSON, ada, (), ADDRESS), ada, ())
        assert isinstance(entered, Refusal) or entered.registered
    finally:
        store.open.set()
        await rig.tasks.close()
        await rig.loop.end()
        await running

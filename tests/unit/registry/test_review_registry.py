"""What a restored store still has of the incarnation that it has fenced, and what a compacted one has lost."""

import asyncio

from registry.keys import Keys
from registry.memory import MemoryStore
from registry.registrar import StoreRegistrar
from registry.routes import RouteTable
from registry.store import Entry, Put
from tests.contract.registry_rig import INFO, RegistryRig, node


async def test_a_node_that_a_restored_backup_has_fenced_begins_again_before_its_old_lease_expires() -> None:
    shared = MemoryStore()
    rig = RegistryRig(lambda: shared, "c")
    try:
        registrar: StoreRegistrar = rig.registrar("n", ttl=10)  # the default
        first = await registrar.begin()
        rig.start(first, first.run)
        await first.register_session("u", 1, INFO)
        await shared.transaction([], [Put(rig.keys.batch("n"), b"0", first._lease_id)])  # as a backup has it
        first.register_session("u", 2, INFO)
        await rig.finished(first)
        second = await asyncio.wait_for(registrar.begin_again(first.machine), 1)  # RegistrationLoop allows 5 s
        assert second.machine == first.machine
    finally:
        await rig.close()

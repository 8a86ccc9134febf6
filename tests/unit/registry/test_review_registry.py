"""What a restored store still has of the incarnation that it has fenced, and what a compacted one has lost."""

import asyncio

from registry.keys import Keys
from registry.ids import split
from registry.memory import MemoryStore
from registry.registrar import StoreRegistrar
from registry.store import Entry, Put
from tests.contract.registry_rig import INFO, RegistryRig


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


class HangsAtFloors(MemoryStore):
    """Answers everything but reads of floors, once `hangs` is set."""

    hangs = False

    async def get(self, key: str) -> Entry | None:
        if self.hangs and "/floors/" in key:
            await asyncio.Event().wait()
        return await super().get(key)


async def test_a_beginning_that_is_cut_off_leaves_no_node_key() -> None:
    shared = HangsAtFloors()
    rig = RegistryRig(lambda: shared, "c")
    try:
        first = await rig.registrar("n").begin()
        await first.end()
        shared.hangs = True
        beginning = asyncio.ensure_future(rig.registrar("n").begin_again(first.machine))
        while await shared.get(rig.keys.node("n")) is None:
            await asyncio.sleep(0)
        beginning.cancel()
        await asyncio.gather(beginning, return_exceptions=True)
        assert await shared.get(rig.keys.node("n")) is None, "routers scatter to it until its lease expires"
    finally:
        await rig.close()


async def test_ids_of_kept_sessions_are_not_made_again_after_a_wipe() -> None:
    now = 1_764_000_000_000
    shared = MemoryStore()
    rig = RegistryRig(lambda: shared, "c")
    try:
        registrar = rig.registrar("n", wall=lambda: now)
        await (await registrar.begin()).end()
        again = await registrar.begin()  # starts above the floor: a minute ahead of the clock
        kept = again.id_generator.next_id(now)
        registrar._store = MemoryStore()  # etcd is wiped; the node keeps its sessions and its machine id
        third = await registrar.begin_again(again.machine)
        assert third.id_generator.next_id(split(kept).ms) != kept
    finally:
        await rig.close()

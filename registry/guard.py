"""The guard of one incarnation's batches: each is applied once, in order, by the incarnation that made it, or never.

Every batch compares that the node key still has this incarnation's epoch and that the guard key says n - 1, and puts n.
So a batch may be resent whenever its answer is lost: a compare that fails while the guard says n means that it was
applied.
"""

import logging

from registry.batches import Batch
from registry.keys import Keys
from registry.membership import Fenced, Member
from registry.retry import RetryPauses
from registry.store import Created, Delete, Get, Holds, Operation, Put, Store, StoreAway

log = logging.getLogger(__name__)


class BatchGuard:
    """Applies batches."""

    def __init__(self, store: Store, keys: Keys, member: Member) -> None:
        self._store = store
        self._member = member
        self._node_key = keys.node(member.incarnation.node)
        self._guard_key = keys.batch(member.incarnation.node)

    async def apply(self, batch: Batch) -> None:
        """Send the batch, always the same, until the store has it. Fenced or LeaseGone when it never will."""
        back_off = RetryPauses()
        operations: list[Operation] = [
            Delete(key) if value is None else Put(key, value) for key, value in batch.operations
        ]
        operations.append(Put(self._guard_key, b"%d" % batch.number, self._member.lease))
        while True:
            try:
                return await self._try(batch.number, operations)
            except StoreAway as error:
                log.info("Batch %d of %s waits: %s", batch.number, self._member.incarnation, error)
            await back_off.pause()

    async def _try(self, number: int, operations: list[Operation]) -> None:
        epoch = self._member.incarnation.epoch
        outcome = await self._store.transaction(
            [Created(self._node_key, epoch), Holds(self._guard_key, b"%d" % (number - 1))],
            operations,
            [Get(self._node_key), Get(self._guard_key)],
        )
        if outcome.succeeded:
            return
        node, guard = outcome.reads
        ours = node and node[0].create_revision == epoch
        if not ours or not guard or guard[0].value != b"%d" % number:
            raise Fenced(f"batch {number} is refused by its guard")

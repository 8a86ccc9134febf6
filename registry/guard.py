"""The guard of registration batches: each batch is applied once, in order, by the incarnation that made it, or never.

Each batch compares that the node key still has the incarnation's epoch and that the guard key holds n - 1, and puts n.
So a batch whose answer was lost is resent: a failed compare with n in the guard key means that it was applied.
"""

import logging

from registry.batches import Batch
from registry.keys import Keys
from registry.membership import FencedError, Member
from registry.retry import RetryBackoff
from registry.store import CreateRevisionEquals, Delete, Get, Operation, Put, Store, StoreUnavailable, ValueEquals

log = logging.getLogger(__name__)


class BatchGuard:
    """Applies the batches of one incarnation."""

    def __init__(self, store: Store, keys: Keys, member: Member) -> None:
        self._store = store
        self._member = member
        self._node_key = keys.node(member.incarnation.node)
        self._guard_key = keys.batch(member.incarnation.node)

    async def apply(self, batch: Batch) -> None:
        """Send the batch, unchanged, until the store has applied it. FencedError, LeaseNotFound: never."""
        backoff = RetryBackoff()
        operations: list[Operation] = [
            Delete(key) if value is None else Put(key, value) for key, value in batch.operations
        ]
        operations.append(Put(self._guard_key, b"%d" % batch.number, self._member.lease))
        while True:
            try:
                return await self._transact(batch.number, operations)
            except StoreUnavailable as error:
                log.debug("Batch %d of %s waits: %s", batch.number, self._member.incarnation, error)
            await backoff.sleep()

    async def _transact(self, number: int, operations: list[Operation]) -> None:
        epoch = self._member.incarnation.epoch
        outcome = await self._store.transaction(
            [CreateRevisionEquals(self._node_key, epoch), ValueEquals(self._guard_key, b"%d" % (number - 1))],
            operations,
            [Get(self._node_key), Get(self._guard_key)],
        )
        if outcome.succeeded:
            return
        node, guard = outcome.reads
        alive = node and node[0].create_revision == epoch
        if not alive or not guard or guard[0].value != b"%d" % number:
            raise FencedError(f"batch {number} is refused by its guard")

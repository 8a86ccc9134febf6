"""How a node joins a cluster: check the layout, grant a lease, create the node's key and the key of a machine id.

Node key, machine id and batch guard are created in one transaction, only if absent, so they have one create-revision:
the epoch. A transaction whose answer was lost is tried again, and then finds the node key under this process's own
lease. A machine id that another node has taken meanwhile is a lost race: read again, choose again.
"""

import asyncio
import logging
import secrets
from collections.abc import Callable, Container
from typing import NamedTuple

import msgspec

from registry.ids import MACHINE_IDS
from registry.keys import Keys
from registry.model import Incarnation, Node
from registry.ports import RegistryError, RegistrySettings
from registry.retry import Retrier
from registry.store import CreateRevisionEquals, Entry, Get, LeaseNotFound, Put, Store, StoreError

log = logging.getLogger(__name__)

LAYOUT_VERSION = 1
EXPIRY_MARGIN = 3.0  # seconds that a store may take beyond the TTL to delete the keys of a lease
POLL_INTERVAL = 0.2  # seconds between two attempts to create a key that another process holds


class FencedError(Exception):
    """The incarnation is over: its lease, node key, machine id or batch guard is gone, or another's."""


class Layout(msgspec.Struct, frozen=True):
    """The value of `layout`."""

    version: int
    cluster: str
    id: str = ""  # made at random with the key, so that a store which was wiped is recognised


class Member(NamedTuple):
    """A node that has joined. `lease_sent`: when the last answered grant or keepalive of the lease was sent."""

    incarnation: Incarnation
    machine: int
    lease: int
    lease_sent: float


class _HeldKey(NamedTuple):
    """A key that another process holds, and the error message for a person."""

    key: str
    message: str


class _GrantedLease(NamedTuple):
    id: int
    sent: float


def first_free(taken: Container[int], start: int) -> int | None:
    """The first machine id that is not taken, from `start` upward, wrapping. None when all 1,024 are taken."""
    return next((machine for i in range(MACHINE_IDS) if (machine := (start + i) % MACHINE_IDS) not in taken), None)


def _is_machine(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= len(str(MACHINE_IDS))


class Membership:
    """Joins a cluster as one node, once."""

    def __init__(
        self,
        store: Store,
        settings: RegistrySettings,
        node_id: str,
        make_node: Callable[[int], Node],
        clock: Callable[[], float],
    ) -> None:
        self._store = store
        self._settings = settings
        self._node_id = node_id
        self._make_node = make_node
        self._clock = clock
        self._keys = Keys(settings.cluster)
        self._wait_until: dict[str, float] = {}  # by held key

    async def join(self, retrier: Retrier) -> Member:
        """Join. RegistryError: another layout, or a key that stays held; StoreUnavailable: the retrier's limit."""
        await retrier(self._check_layout)
        lease = await retrier(self._grant)
        try:
            while True:
                machine = await retrier(self._choose_machine)
                try:
                    found = await retrier(lambda m=machine, held=lease: self._create_keys(m, held))  # type: ignore[misc]
                    if isinstance(found, Member):
                        return found
                    await self._wait_for_expiry(found)
                    lease = await retrier(lambda held=lease: self._keep_alive(held))  # type: ignore[misc]
                except LeaseNotFound:
                    lease = await retrier(self._grant)
        except BaseException:
            await self._revoke(lease)
            raise

    async def _check_layout(self) -> None:
        ours = Layout(LAYOUT_VERSION, self._settings.cluster, secrets.token_hex(8))
        key = self._keys.layout
        outcome = await self._store.transaction(
            [CreateRevisionEquals(key, 0)], [Put(key, msgspec.json.encode(ours))], [Get(key)]
        )
        if outcome.succeeded or not outcome.reads[0]:
            return
        value = outcome.reads[0][0].value
        try:
            found = msgspec.json.decode(value, type=Layout)
        except msgspec.MsgspecError:
            raise RegistryError(f"{key} holds no layout of Homing; is this another program's etcd?") from None
        if (found.version, found.cluster) != (ours.version, ours.cluster):
            raise RegistryError(
                f"{key} has layout {found.version} of cluster {found.cluster!r}, this is layout {ours.version} of"
                f" {ours.cluster!r}; use another cluster name or another etcd"
            )

    async def _grant(self) -> _GrantedLease:
        sent = self._clock()
        return _GrantedLease(await self._store.grant(self._settings.ttl), sent)

    async def _keep_alive(self, lease: _GrantedLease) -> _GrantedLease:
        sent = self._clock()
        await self._store.keep_alive(lease.id)
        return _GrantedLease(lease.id, sent)

    async def _choose_machine(self) -> int:
        if self._settings.machine is not None:
            return self._settings.machine
        snapshot = await self._store.get_prefix(self._keys.machines, keys_only=True)
        skip = len(self._keys.machines)
        taken = {int(entry.key[skip:]) for entry in snapshot.entries if _is_machine(entry.key[skip:])}
        machine = first_free(taken, snapshot.revision % MACHINE_IDS)
        if machine is None:
            raise RegistryError(f"all {MACHINE_IDS} machine ids of cluster {self._settings.cluster!r} are leased")
        return machine

    async def _create_keys(self, machine: int, lease: _GrantedLease) -> Member | _HeldKey | None:
        """Create node key, machine id and batch guard. None: another node has just taken the machine id."""
        node_key, machine_key = self._keys.node(self._node_id), self._keys.machine(machine)
        outcome = await self._store.transaction(
            [CreateRevisionEquals(node_key, 0), CreateRevisionEquals(machine_key, 0)],
            [
                Put(node_key, msgspec.json.encode(self._make_node(machine)), lease.id),
                Put(machine_key, self._node_id.encode(), lease.id),
                Put(self._keys.batch(self._node_id), b"0", lease.id),
            ],
            [Get(node_key), Get(machine_key)],
        )
        if outcome.succeeded:
            return Member(Incarnation(self._node_id, outcome.revision), machine, lease.id, lease.sent)
        node_entries, machine_entries = outcome.reads
        if node_entries:
            return self._resolve_node_key(node_entries[0], lease)
        if machine_entries and self._settings.machine is not None:
            holder = machine_entries[0].value.decode(errors="replace")
            return _HeldKey(machine_key, f"machine id {machine} is held by node {holder!r}; configure another one")
        return None

    def _resolve_node_key(self, entry: Entry, lease: _GrantedLease) -> Member | _HeldKey:
        """The node key exists: from an attempt of ours whose answer was lost, or from another process."""
        node = msgspec.json.decode(entry.value, type=Node)
        if entry.lease == lease.id:
            return Member(Incarnation(self._node_id, entry.create_revision), node.machine, lease.id, lease.sent)
        message = f"node id {self._node_id!r} is held by the node at {node.node_address}; configure another one"
        return _HeldKey(entry.key, message)

    async def _wait_for_expiry(self, held: _HeldKey | None) -> None:
        """Wait for one poll interval. RegistryError when the holder's lease must have expired, and the key is there."""
        if held is None:
            return
        now = self._clock()
        first = held.key not in self._wait_until
        until = self._wait_until.setdefault(held.key, now + self._settings.ttl + EXPIRY_MARGIN)
        if now >= until:
            raise RegistryError(held.message)
        if first:
            log.warning("Waiting for a lease to expire: %s.", held.message)
        await asyncio.sleep(POLL_INTERVAL)

    async def _revoke(self, lease: _GrantedLease) -> None:
        try:
            await self._store.revoke(lease.id)
        except StoreError as error:
            log.info("A lease is left to expire: %s", error)

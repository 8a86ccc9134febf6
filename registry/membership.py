"""How a node becomes a member: the layout is right, a lease is granted, a machine id and the node's key are taken.

Node key, machine id and batch guard are created in one transaction, only if absent, so their create-revision is one
number: the epoch. A transaction whose answer was lost is resolved by trying again: it then finds the node key there,
under our own lease. A machine id that somebody else took meanwhile was a lost race: read again, pick again.
"""

import asyncio
import logging
from collections.abc import Callable, Container
from typing import NamedTuple

import msgspec

from registry.ids import MACHINES
from registry.keys import Keys
from registry.model import Incarnation, Node
from registry.ports import RegistryError, RegistrySettings
from registry.retry import Retrier
from registry.store import Created, Entry, Get, LeaseGone, Put, Store, StoreError

log = logging.getLogger(__name__)

LAYOUT_VERSION = 1
EXPIRY_TAKES = 3.0  # seconds that a store may take to notice that a lease has run out
LOOK_AGAIN = 0.2  # seconds between two looks at a key that somebody else still holds


class Fenced(Exception):
    """This incarnation is over: its lease, node key, machine id or batch guard is gone or another's."""


class Layout(msgspec.Struct, frozen=True):
    """The value of `layout`."""

    version: int
    cluster: str


class Member(NamedTuple):
    """What a node holds once it has joined. `sent`: when the last answered request for the lease had left."""

    incarnation: Incarnation
    machine: int
    lease: int
    sent: float


class _Held(NamedTuple):
    """Somebody else has a key that we need."""

    key: str
    what: str  # for a person


class _GrantedLease(NamedTuple):
    number: int
    sent: float


def first_free(taken: Container[int], start: int) -> int | None:
    """The first machine id that is not taken, from `start` upward, wrapping. None when all 1,024 are."""
    return next((machine for i in range(MACHINES) if (machine := (start + i) % MACHINES) not in taken), None)


class Membership:
    """Takes part in a cluster as one node, once."""

    def __init__(
        self,
        store: Store,
        settings: RegistrySettings,
        node_id: str,
        node: Callable[[int], Node],
        clock: Callable[[], float],
    ) -> None:
        self._store = store
        self._settings = settings
        self._node_id = node_id
        self._node = node
        self._clock = clock
        self._keys = Keys(settings.cluster)
        self._waiting_until: dict[str, float] = {}

    async def join(self, patience: Retrier) -> Member:
        """Become a member. RegistryError when that cannot be; StoreAway when patience ends."""
        await patience(self._check_layout)
        lease = await patience(self._grant)
        try:
            while True:
                machine = await patience(self._pick)
                try:
                    found = await patience(lambda m=machine, held=lease: self._claim(m, held))  # type: ignore[misc]
                    if isinstance(found, Member):
                        return found
                    await self._wait_for(found)
                    lease = await patience(lambda held=lease: self._renew(held))  # type: ignore[misc]
                except LeaseGone:
                    lease = await patience(self._grant)
        except BaseException:
            await self._give_back(lease)
            raise

    async def _check_layout(self) -> None:
        wanted = Layout(LAYOUT_VERSION, self._settings.cluster)
        key = self._keys.layout
        outcome = await self._store.transaction([Created(key, 0)], [Put(key, msgspec.json.encode(wanted))], [Get(key)])
        if outcome.succeeded or not outcome.reads[0]:
            return
        value = outcome.reads[0][0].value
        try:
            found = msgspec.json.decode(value, type=Layout)
        except msgspec.MsgspecError:
            raise RegistryError(f"{key} holds no layout of Homing; is this another program's etcd?") from None
        if found != wanted:
            raise RegistryError(
                f"{key} says layout {found.version} of cluster {found.cluster!r}, this is layout {wanted.version} of"
                f" {wanted.cluster!r}; use another cluster name or another etcd"
            )

    async def _grant(self) -> _GrantedLease:
        sent = self._clock()
        return _GrantedLease(await self._store.grant(self._settings.ttl), sent)

    async def _renew(self, lease: _GrantedLease) -> _GrantedLease:
        sent = self._clock()
        await self._store.keep_alive(lease.number)
        return _GrantedLease(lease.number, sent)

    async def _pick(self) -> int:
        if self._settings.machine is not None:
            return self._settings.machine
        reading = await self._store.get_prefix(self._keys.machines, keys_only=True)
        skip = len(self._keys.machines)
        taken = {int(entry.key[skip:]) for entry in reading.entries if entry.key[skip:].isdigit()}
        machine = first_free(taken, reading.revision % MACHINES)
        if machine is None:
            raise RegistryError(f"all {MACHINES} machine ids of cluster {self._settings.cluster!r} are leased")
        return machine

    async def _claim(self, machine: int, lease: _GrantedLease) -> Member | _Held | None:
        """Take the keys. None after a lost race for the machine id."""
        node, taken, guard = (
            self._keys.node(self._node_id),
            self._keys.machine(machine),
            self._keys.batch(self._node_id),
        )
        outcome = await self._store.transaction(
            [Created(node, 0), Created(taken, 0)],
            [
                Put(node, msgspec.json.encode(self._node(machine)), lease.number),
                Put(taken, self._node_id.encode(), lease.number),
                Put(guard, b"0", lease.number),
            ],
            [Get(node), Get(taken)],
        )
        if outcome.succeeded:
            return Member(Incarnation(self._node_id, outcome.revision), machine, lease.number, lease.sent)
        holder, owner = outcome.reads
        if holder:
            return self._adopt(holder[0], lease)
        if owner and self._settings.machine is not None:
            who = owner[0].value.decode(errors="replace")
            return _Held(taken, f"machine id {machine} is held by node {who!r}; configure another one")
        return None

    def _adopt(self, entry: Entry, lease: _GrantedLease) -> Member | _Held:
        """The node key is there: ours, from a try whose answer was lost, or another process's."""
        node = msgspec.json.decode(entry.value, type=Node)
        if entry.lease == lease.number:
            return Member(Incarnation(self._node_id, entry.create_revision), node.machine, lease.number, lease.sent)
        return _Held(entry.key, f"node id {self._node_id!r} is held by the node at {node.port}; configure another one")

    async def _wait_for(self, held: _Held | None) -> None:
        """Wait out the holder's lease; RegistryError when it is still held after that."""
        if held is None:
            return
        now = self._clock()
        until = self._waiting_until.setdefault(held.key, now + self._settings.ttl + EXPIRY_TAKES)
        if now >= until:
            raise RegistryError(held.what)
        if until - now > self._settings.ttl + EXPIRY_TAKES - LOOK_AGAIN:
            log.warning("Waiting for a lease to run out: %s.", held.what)
        await asyncio.sleep(LOOK_AGAIN)

    async def _give_back(self, lease: _GrantedLease) -> None:
        try:
            await self._store.revoke(lease.number)
        except StoreError as error:
            log.info("A lease is left to run out: %s", error)

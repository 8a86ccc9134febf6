"""What the two services see of the registry: a gateway's Registrar and a router's RouteFeed.

The implementations are `registry.registrar.StoreRegistrar` and `registry.feed.StoreRouteFeed`, both written over the
store port, so they run unchanged on etcd and on the in-memory twin.
"""

from asyncio import Future
from collections.abc import Callable
from typing import Protocol

import msgspec

from registry.ids import SnowflakeGenerator
from registry.lapse import FencingAnswer
from registry.model import Incarnation, SessionInfo
from registry.routes import RouteTable, TableChange


class RegistrySettings(msgspec.Struct, frozen=True, kw_only=True):
    """What both services need to know of the registry."""

    cluster: str = "homing"  # the key prefix is /homing/<cluster>/
    ttl: int = 10  # seconds of a node's or router's lease
    machine: int | None = None  # a fixed machine id; None leases the first free one
    start_limit: float = 30.0  # seconds to keep trying a store that does not answer, at start
    sweep_after: float = 30.0  # seconds an incarnation must have been over before its keys are swept


class RegistryError(Exception):
    """The registry cannot be used, and waiting will not help: a wrong layout, a machine id held by another."""


class Registrar(Protocol):
    """One incarnation of one gateway: the only writer of that incarnation's keys.

    `begin` → `run` (a task of the caller's) → `end`. Changes are told without waiting and gathered into guarded
    batches, one transaction in flight; a future resolves with the number of the batch that committed it. While the
    store is away futures stay pending and nothing is lost; when the incarnation is over (fenced) they are cancelled.
    """

    incarnation: Incarnation
    machine: int
    ids: SnowflakeGenerator

    async def begin(self) -> Incarnation:
        """Check the layout, take a lease, a machine id and the node's key; then `incarnation`, `machine`, `mint` are
        set.

        Retries a store that is away until `start_limit`, logging one line that names the address; then StoreAway.
        RegistryError: another layout, or a fixed machine id that stays held.
        """
        ...

    async def run(self) -> None:
        """Keep the lease, reserve id floors, commit batches. Returns only when the incarnation is over: fenced."""
        ...

    async def end(self) -> None:
        """Commit what is wanted (at most 2 s), then revoke the lease: node, machine and batch keys go at once."""
        ...

    async def drain(self) -> None:
        """Mark the node's key as draining."""
        ...

    def register_session(self, user: str, sid: int, info: SessionInfo) -> "Future[int]":
        """Register a session. The future gives the number of the batch that holds it; cancelled if it leaves first."""
        ...

    def unregister_session(self, user: str, sid: int) -> None:
        """Remove a session's key."""
        ...

    def register_file(self, file: str) -> "Future[int]":
        """Register this incarnation as an owner of the file. Already registered: a future that is done."""
        ...

    def unregister_file(self, file: str) -> None:
        """Remove this incarnation's key of the file."""
        ...

    def lapsed(self) -> bool:
        """Whether the lease may be over (design §4: TTL - 1 s since the last answered keepalive was *sent*)."""
        ...

    def unregistered(self) -> bool:
        """Whether sessions or files have waited longer than 1 s for their commit: routers must scatter here."""
        ...


class RouteFeed(Protocol):
    """One router's view of every route: a table fed by a snapshot and one gap-free watch."""

    table: RouteTable
    on_change: Callable[[TableChange], None]  # called after every fold, on the loop, must not block

    async def run(self) -> None:
        """For ever: snapshot, follow, and on compaction or a lost watch a fresh snapshot, diffed. Never a gap."""
        ...

    async def wait_synced(self) -> None:
        """Until the first snapshot is folded."""
        ...

    async def wait_caught_up(self) -> bool:
        """Until the table holds every registration committed before this call, by one read shared by all who wait.

        The read is linearizable and begins after the call. False when the store cannot be read, or the table did not
        get there, within 2 s: the table is then a guess.
        """
        ...

    async def lease_state(self, incarnation: Incarnation) -> FencingAnswer:
        """Whether the incarnation is alive, by a linearizable read: a lapsed node's fencing query."""
        ...

"""The registry's contracts: a gateway's Registrar and Registration, a router's RouteFeed.

`registry.registrar.StoreRegistrar`, `registry.registration.StoreRegistration` and `registry.feed.StoreRouteFeed`
implement them over the store port, so they run unchanged on etcd and on the in-memory twin.
"""

from asyncio import Future
from collections.abc import Callable
from typing import Annotated, Protocol

import msgspec
from msgspec import Meta

from registry.ids import SnowflakeGenerator
from registry.lease_state import FencingAnswer, LeaseTracker
from registry.model import Incarnation, SessionInfo
from registry.routes import RouteTable, TableChange
from runtime.process.setting_types import NonNegativeSeconds


class RegistrySettings(msgspec.Struct, frozen=True, kw_only=True):
    """Settings of the registry that do not depend on its store."""

    # The cluster's name: all keys begin with `/homing/<cluster>/`.
    cluster: Annotated[str, Meta(pattern=r"^[A-Za-z0-9._-]{1,64}\Z")] = "homing"
    ttl: Annotated[int, Meta(ge=1, le=3600)] = 10  # Seconds of the lease of a node, and of the router that sweeps.
    # A fixed machine id; without one, a node leases the first free one.
    machine: Annotated[int, Meta(ge=0, le=1023)] | None = None
    start_limit: NonNegativeSeconds = 30.0  # Seconds to try at start while etcd does not answer.
    sweep_after: NonNegativeSeconds = 30.0  # Seconds from the end of an incarnation until its keys are swept.


class RegistryError(Exception):
    """The registry cannot be used, and no retry helps: another layout, or a machine id that another node holds."""


class Registrar(Protocol):
    """Begins the incarnations of one gateway, one after the other."""

    async def begin(self) -> "Registration":
        """Check the layout, grant a lease, create the keys of the node and of its machine id: a new incarnation.

        Retries while the store is unavailable, until `start_limit`; then StoreUnavailable. RegistryError: another
        layout, or a fixed machine id that stays held.
        """
        ...

    async def begin_again(self, machine: int) -> "Registration":
        """As `begin`, by a node that keeps the sessions of the incarnation before: under the same machine id.

        Its node key says that they are being registered (`Node.restoring`), until `Registration.set_restored`.
        """
        ...


class Registration(Protocol):
    """One incarnation of one gateway in the registry: the only writer of that incarnation's keys.

    First `run`, as a task of the caller, then `end`. Changes are accepted without waiting and gathered into guarded
    batches, one transaction in flight; a future gives the number of the batch that has committed its change. While the
    store is unavailable, futures stay pending and nothing is lost. The end of the incarnation cancels them.
    """

    incarnation: Incarnation
    machine: int
    id_generator: SnowflakeGenerator
    lease: LeaseTracker

    async def run(self) -> None:
        """Keep the lease, reserve ids, commit batches. Returns when the incarnation is over."""
        ...

    async def end(self) -> None:
        """Commit what is pending (at most 2 s), then revoke the lease, which deletes the node's keys."""
        ...

    async def drain(self) -> None:
        """Mark the node as draining, in its key."""
        ...

    def register_session(self, user: str, sid: int, info: SessionInfo) -> "Future[int]":
        """Put a session's key. The future gives the committing batch; `unregister_session` cancels it."""
        ...

    def unregister_session(self, user: str, sid: int) -> None:
        """Delete a session's key."""
        ...

    def register_file(self, file: str) -> "Future[int]":
        """Put this incarnation's key of a file. The future is done at once when the key is already committed."""
        ...

    def unregister_file(self, file: str) -> None:
        """Delete this incarnation's key of a file."""
        ...

    def lapsed(self) -> bool:
        """Whether the lease may be over: TTL - 1 s have passed since the last answered keepalive was *sent*."""
        ...

    def unregistered(self) -> bool:
        """Whether a session or file has waited longer than 1 s for its commit, or kept ones are being registered:
        routers must scatter to this node."""
        ...

    def set_restored(self) -> None:
        """All kept sessions are registered, and every router's table has them."""
        ...


class RouteFeed(Protocol):
    """One router's copy of all routes: a table, from a snapshot and one watch without gaps."""

    table: RouteTable

    def subscribe(self, on_change: Callable[[TableChange], None]) -> None:
        """Call `on_change` after every change of the table from now on: on the loop; the callback must not block."""
        ...

    async def run(self) -> None:
        """For ever: take a snapshot, apply the watch; after a compaction or a lost watch, diff a fresh snapshot."""
        ...

    async def wait_synced(self) -> None:
        """Until the table holds the first snapshot."""
        ...

    async def wait_caught_up(self) -> bool:
        """Until the table holds every registration that was committed before this call.

        One linearizable read, begun after the call, serves all concurrent calls. False: the store could not be read, or
        the table did not get there, within 2 s; the table may be behind.
        """
        ...

    unverified: bool
    """Whether this process was paused, and the table has not been compared with the store since: every lookup waits."""

    @property
    def may_lack_routes(self) -> bool:
        """Whether what the table has of a user or a file may be incomplete, and nobody can tell: the store could not be
        read last time, or the table has not shown for a quarter of a second what a read has shown."""
        ...

    def behind_for(self) -> float:
        """Seconds for which the store could be read and the table has not followed; 0.0: it follows."""
        ...

    def verify(self) -> None:
        """This process was paused: the table may be old. Sets `unverified` until it has caught up, or for 2 s."""
        ...

    async def fencing_answer(self, incarnation: Incarnation) -> FencingAnswer:
        """Whether the incarnation is alive, by a linearizable read: the answer to a lapsed node's fencing query."""
        ...

"""Between the sessions that are here and the registry: register, join, leave, unregister.

"Connected" and "joined" are only sent after the registry's commit and after every router's table holds it, or after
three seconds when etcd does not answer (docs/design.md, "Connected means reachable"). Then the session is unregistered:
routers find it by scatter until the commit is made up for.
"""

import asyncio
from collections.abc import Iterable

from gateway.registration.barrier import RouteAckBarrier
from gateway.registration.loop import RegistrationLoop
from gateway.sessions.index import Index
from gateway.sessions.session import Session
from observability.counters import Counters
from registry.model import SessionInfo
from registry.ports import Registration

COMMIT_LIMIT = 3.0  # seconds a client waits for the registry

Commits = list["asyncio.Future[int]"]
"""The commits that a change waits for; each gives the number of its batch."""


class SessionRegistration:
    """Keeps the index and the registry in step."""

    def __init__(
        self, loop: RegistrationLoop, index: Index[Session], barrier: RouteAckBarrier, counters: Counters
    ) -> None:
        self._loop = loop
        self._index = index
        self._barrier = barrier
        self._counters = counters

    @property
    def current(self) -> Registration:
        """The registration of this moment; another object after the incarnation has changed."""
        return self._loop.registration

    async def register(self, session: Session, files: Iterable[str]) -> None:
        """Register a new session with its first files; `session.registered` tells whether the registry has it."""
        registration = self.current
        self._index.add(session)
        info = SessionInfo(session.codec.namespace, session.identity.auth_type, session.connected_at)
        commits = [registration.register_session(session.user, session.sid, info)]
        for file in files:
            self._index.join(session, file)
            commits.append(registration.register_file(file))
        session.registered = await self.wait_reachable(commits)
        if not session.registered:
            self._counters.unregistered_admitted += 1

    def join(self, session: Session, file: str) -> Commits:
        """Join a file: pushes find the session from now on. The result is for `wait_reachable`."""
        self._index.join(session, file)
        return [self.current.register_file(file)]

    def leave(self, session: Session, file: str) -> bool:
        """Leave a file; False when it was not joined."""
        was_joined = file in session.files
        if self._index.leave(session, file):
            self.current.unregister_file(file)
        return was_joined

    def unregister(self, session: Session) -> None:
        """The session is over; one that is not registered is no error."""
        registration = self.current
        for file in self._index.remove(session):
            registration.unregister_file(file)
        registration.unregister_session(session.user, session.sid)

    async def wait_replaced(self) -> None:
        """See `RegistrationLoop.wait_replaced`."""
        await self._loop.wait_replaced()

    async def wait_reachable(self, commits: Commits) -> bool:
        """Until the registry has committed all, and every router's table has it too. False: not in time, or the
        incarnation has ended."""
        for commit in commits:
            if not commit.done():
                await wait_settled(commits, COMMIT_LIMIT)
                break
        for commit in commits:
            if not commit.done() or commit.cancelled():
                return False
        if not await self._barrier.wait_reachable(max(commit.result() for commit in commits)):
            self._counters.reach_timeouts += 1
        return True


async def wait_settled(futures: Commits, seconds: float) -> None:
    """Until all are done, or the time is over: asyncio.wait at a third of its cost, which every connect pays."""
    loop = asyncio.get_running_loop()
    gate: asyncio.Future[None] = loop.create_future()

    def settled(_one: "asyncio.Future[int] | None" = None) -> None:
        if not gate.done() and (_one is None or all(future.done() for future in futures)):
            gate.set_result(None)

    for future in futures:
        future.add_done_callback(settled)
    timer = loop.call_later(seconds, settled)
    try:
        await gate
    finally:
        timer.cancel()
        for future in futures:
            future.remove_done_callback(settled)

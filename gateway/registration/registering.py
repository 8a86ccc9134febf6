"""Between the sessions that are here and the registry: come, join, leave, go.

"Connected" and "joined" are only said after the registry's commit and after every router's table holds it, or after
three seconds when etcd does not answer (design §4, "Connected means reachable"). Then the session is unregistered:
it is found by scatter until the commit is made up for.
"""

import asyncio
from collections.abc import Iterable

from gateway.registration.barrier import RouteAckBarrier
from gateway.sessions.index import Index
from gateway.sessions.session import Session
from observability.counters import Counters
from registry.model import SessionInfo
from registry.ports import Registrar

PATIENCE = 3.0  # seconds a client waits for the registry


class SessionRegistration:
    """Keeps the index and the registry in step. `registrar` is the current incarnation's, and changes with it."""

    def __init__(self, index: Index[Session], reach: RouteAckBarrier, registrar: Registrar, counters: Counters) -> None:
        self.registrar = registrar
        self._index = index
        self._reach = reach
        self._counters = counters

    async def come(self, session: Session, files: Iterable[str]) -> None:
        """Register a new session with its first files; `session.registered` tells whether the registry has it."""
        self._index.add(session)
        info = SessionInfo("/", session.identity.auth_type, session.connected_at)
        commits = [self.registrar.register_session(session.user, session.sid, info)]
        for file in files:
            self._index.join(session, file)
            commits.append(self.registrar.register_file(file))
        session.registered = await self.wait_reachable(commits)
        if not session.registered:
            self._counters.unregistered_admitted += 1

    def join(self, session: Session, file: str) -> "list[asyncio.Future[int]]":
        """Join a file: pushes find the session from now on. What is returned is for `wait_reachable`."""
        self._index.join(session, file)
        return [self.registrar.register_file(file)]

    def leave(self, session: Session, file: str) -> bool:
        """Leave a file; False when it was not joined."""
        was_joined = file in session.files
        if self._index.leave(session, file):
            self.registrar.unregister_file(file)
        return was_joined

    def go(self, session: Session) -> None:
        """The session is gone."""
        for file in self._index.remove(session):
            self.registrar.unregister_file(file)
        self.registrar.unregister_session(session.user, session.sid)

    async def wait_reachable(self, commits: "list[asyncio.Future[int]]") -> bool:
        """Until the registry has it all and every router's table too. False: not in time; it will be made up for."""
        for commit in commits:
            if not commit.done():
                await wait_settled(commits, PATIENCE)
                break
        for commit in commits:
            if not commit.done() or commit.cancelled():
                return False
        if not await self._reach.wait_reachable(max(commit.result() for commit in commits)):
            self._counters.reach_timeouts += 1
        return True


async def wait_settled(futures: "list[asyncio.Future[int]]", seconds: float) -> None:
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

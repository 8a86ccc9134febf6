"""Pushes at a constant rate through the client library, whatever becomes of them, recorded with their reports."""

import asyncio
import random
import time
from collections.abc import Sequence
from typing import Any

from bench.faults.clients import Clients, FaultClient
from bench.faults.records import CallerPush, CallOutcome, HistoryWriter
from homing import Refused, Router, RouterError

TTL = 10.0  # seconds
BURST = 2  # pushes to one target right after another, whose order is judged
USERS, FILES = 0.7, 0.2  # shares of the pushes; the others go to sessions
MAX_DELIVERIES = 2000  # listed in a report: all that there are


class PushLoad:
    """`rate` pushes a second, over the streams in turn."""

    def __init__(self, routers: Sequence[Router], clients: Clients, history: HistoryWriter, rate: float) -> None:
        self._routers = list(routers)
        self._clients = clients
        self._history = history
        self._rate = rate
        self._users = sorted({client.user for client in clients.all})
        self._files = sorted({file for client in clients.all for file in client.files})
        self._pending: set[asyncio.Task[CallOutcome]] = set()
        self._task: asyncio.Task[None] | None = None

    @property
    def pending(self) -> int:
        """Calls that have not ended."""
        return len(self._pending)

    def start(self) -> None:
        """Begin to push."""
        self._task = asyncio.create_task(self._run())

    async def stop(self, within: float) -> int:
        """Stop, and wait for the reports; returns the number of calls that did not end within the limit."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._pending:
            await asyncio.wait(self._pending, timeout=within)
        left = list(self._pending)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        return len(left)

    async def _run(self) -> None:
        due, number = time.monotonic(), 0
        while True:
            kind, name = self._choose()
            for _ in range(BURST):
                self.begin(number % len(self._routers), kind, name)
            number += 1
            due += BURST / self._rate
            await asyncio.sleep(max(0.0, due - time.monotonic()))

    def _choose(self) -> tuple[str, str]:
        drawn = random.random()
        if drawn < USERS:
            return "user", random.choice(self._users)
        if drawn < USERS + FILES and self._files:
            return "file", random.choice(self._files)
        live = self._clients.live
        return ("session", str(random.choice(live).live)) if live else ("user", random.choice(self._users))

    def begin(self, stream: int, kind: str, name: str) -> "asyncio.Task[CallOutcome]":
        """One push as a task of its own."""
        task = asyncio.create_task(self._push(self._routers[stream], f"stream-{stream}", kind, name))
        self._pending.add(task)
        task.add_done_callback(self._pending.discard)
        return task

    async def probe(self, clients: Sequence[FaultClient]) -> None:
        """A push to each of these sessions, which must be written."""
        await asyncio.gather(*(self._probe(number, client.live) for number, client in enumerate(clients)))

    async def _probe(self, number: int, session: int) -> None:
        stream = number % len(self._routers)
        await self._push(self._routers[stream], f"stream-{stream}", "session", str(session), probe=True)

    async def _push(self, router: Router, stream: str, kind: str, name: str, probe: bool = False) -> CallOutcome:
        outcome, _ = await record_push(self._history, router, stream, (kind, name), probe)
        return outcome


async def record_push(
    history: HistoryWriter, router: Router, stream: str, target: tuple[str, str], probe: bool = False
) -> tuple[CallOutcome, float]:
    """One push, recorded when its call has ended. Returns its outcome and the seconds that it took."""
    number, t_invoke = history.next_push(), time.monotonic()
    push_id = f"push-{number}"
    outcome = await _call(router, target, number)
    t_return = time.monotonic()
    history.write(CallerPush(number, push_id, stream, target, TTL, t_invoke, t_return, outcome, probe))
    return outcome, t_return - t_invoke


async def _call(router: Router, target: tuple[str, str], number: int) -> CallOutcome:
    kind, name = target
    receiver: dict[str, Any] = {
        kind: {"session": lambda: int(name), "everyone": lambda: True}.get(kind, lambda: name)()
    }
    try:
        report = await router.push(
            event="e",
            data={"n": number},
            push_id=f"push-{number}",
            ttl=TTL,
            max_deliveries=MAX_DELIVERIES,
            **receiver,
        )
    except Refused as error:
        return CallOutcome(error=f"{error.code}: {error}")
    except RouterError as error:
        return CallOutcome(unknown=f"{type(error).__name__}: {error}")
    return CallOutcome(
        counts={str(outcome): count for outcome, count in report.counts.items()},
        deliveries=[(one.session, one.node, str(one.outcome)) for one in report.deliveries],
        healed=report.healed,
        registry_away=report.registry_away,
    )

"""Virtual time: every process of a simulated cluster has an event loop of its own, and one scheduler runs them all.

Nothing sleeps: the clock jumps to the next timer. There is one queue, in order of time, then of scheduling, so a run is
a function of its seed. A process may be paused (its callbacks wait, and its timers fire late) or dead (both are
dropped).
"""

import asyncio
import contextvars
import heapq
import itertools
import traceback
from asyncio import events
from collections import deque
from collections.abc import Callable
from enum import IntEnum
from typing import Any

MAX_CALLBACKS = 200_000  # at one moment of virtual time: more is a loop that never waits


class ProcessState(IntEnum):
    RUNNING = 0
    PAUSED = 1
    DEAD = 2


class ScheduledCall:
    """What `call_soon` and `call_at` answer (an `asyncio.TimerHandle` in all but its class)."""

    __slots__ = ("_when", "args", "callback", "context", "is_cancelled", "loop")

    def __init__(
        self, when: float, loop: "ProcessLoop", callback: Callable[..., Any], args: tuple[Any, ...], context: Any
    ) -> None:
        self._when = when
        self.loop = loop
        self.callback = callback
        self.args = args
        self.context = contextvars.copy_context() if context is None else context
        self.is_cancelled = False

    def cancel(self) -> None:
        self.is_cancelled = True

    def cancelled(self) -> bool:
        return self.is_cancelled

    def when(self) -> float:
        return self._when


class OrderedTask(asyncio.Task):  # type: ignore[type-arg]
    """A task whose hash is a serial number, so that the order of a set of tasks repeats with the seed."""

    def __init__(self, serial: int, coro: Any, **options: Any) -> None:
        self._serial = serial
        super().__init__(coro, **options)

    def __hash__(self) -> int:
        return self._serial


class Scheduler:
    """The clock, and the queue of all processes. Seconds."""

    def __init__(self) -> None:
        self.now = 0.0
        self.callbacks = 0  # that have run
        self.current: ProcessLoop | None = None  # whose callback runs now
        self.errors: list[str] = []  # tracebacks of callbacks and tasks that failed
        self.loops: list[ProcessLoop] = []
        self._ready: deque[ScheduledCall] = deque()
        self._timers: list[tuple[float, int, ScheduledCall]] = []
        self._serial = itertools.count(1)

    def next_serial(self) -> int:
        return next(self._serial)

    def make_ready(self, call: ScheduledCall) -> None:
        self._ready.append(call)

    def make_ready_first(self, calls: list[ScheduledCall]) -> None:
        """Calls that were due before those that are ready now."""
        self._ready.extendleft(reversed(calls))

    def add_timer(self, call: ScheduledCall) -> None:
        heapq.heappush(self._timers, (call.when(), next(self._serial), call))

    def run_until(self, until: float) -> None:
        """Run everything that is due by `until`, in order; the clock ends there."""
        timers, ready = self._timers, self._ready
        try:
            while True:
                if ready:
                    self._run_ready()
                if not timers or timers[0][0] > until:
                    break
                when, _, call = heapq.heappop(timers)
                if when > self.now:
                    self.now = when
                if not call.is_cancelled:
                    ready.append(call)
        finally:
            self.current = None
            events._set_running_loop(None)
        self.now = max(self.now, until)

    def _run_ready(self) -> None:
        """Run what is ready, and what becomes ready meanwhile."""
        ready, first = self._ready, self.callbacks
        while ready:
            call = ready.popleft()
            loop = call.loop
            if call.is_cancelled or loop.state:
                if loop.state is ProcessState.PAUSED:
                    loop.late.append(call)
                continue
            if loop is not self.current:
                self.current = loop
                events._set_running_loop(loop)
            self.callbacks += 1
            try:
                call.context.run(call.callback, *call.args)
            except Exception:
                self.errors.append(f"{loop.name}: {traceback.format_exc()}")
            if self.callbacks - first > MAX_CALLBACKS:
                raise RuntimeError(f"{loop.name} never waits: {call.callback}")

    def close(self) -> None:
        """End every task of every process, so that no coroutine is left to the garbage collector."""
        errors = len(self.errors)
        for loop in self.loops:
            loop.state = ProcessState.RUNNING
            loop.late.clear()
        while tasks := [task for loop in self.loops for task in loop.tasks if not task.done()]:
            self._timers.clear()  # nothing more arrives
            for task in tasks:
                task.cancel()
            self.run_until(self.now)
        del self.errors[errors:]


class ProcessLoop(asyncio.AbstractEventLoop):  # and nothing of it that has to do with I/O
    """The event loop of one process."""

    def __init__(self, scheduler: Scheduler, name: str) -> None:
        self.name = name
        self.state = ProcessState.RUNNING
        self.late: list[ScheduledCall] = []  # what was due while it was paused
        self.tasks: list[asyncio.Task[Any]] = []
        self._prune_above = 200
        self._scheduler = scheduler
        scheduler.loops.append(self)

    # Faults

    def pause(self) -> None:
        if self.state is ProcessState.RUNNING:
            self.state = ProcessState.PAUSED

    def resume(self) -> None:
        if self.state is ProcessState.PAUSED:
            self.state = ProcessState.RUNNING
            late, self.late = self.late, []
            self._scheduler.make_ready_first(late)

    def kill(self) -> None:
        self.state = ProcessState.DEAD
        self.late.clear()

    # What asyncio needs

    def time(self) -> float:
        return self._scheduler.now

    def call_soon(self, callback: Callable[..., Any], *args: Any, context: Any = None) -> Any:  # type: ignore[override]
        call = ScheduledCall(0.0, self, callback, args, context)
        self._scheduler.make_ready(call)
        return call

    def call_at(self, when: float, callback: Callable[..., Any], *args: Any, context: Any = None) -> Any:  # type: ignore[override]
        call = ScheduledCall(when, self, callback, args, context)
        self._scheduler.add_timer(call)
        return call

    def call_later(self, delay: float, callback: Callable[..., Any], *args: Any, context: Any = None) -> Any:  # type: ignore[override]
        return self.call_at(self._scheduler.now + delay, callback, *args, context=context)

    def create_future(self) -> "asyncio.Future[Any]":
        return asyncio.Future(loop=self)

    def create_task(self, coro: Any, *, name: str | None = None, context: Any = None) -> "asyncio.Task[Any]":
        task = OrderedTask(self._scheduler.next_serial(), coro, loop=self, name=name or "", context=context)
        self.tasks.append(task)
        if len(self.tasks) > self._prune_above:
            self.tasks = [task for task in self.tasks if not task.done()]
            self._prune_above = max(200, 2 * len(self.tasks))  # else each task of a large fleet would look at all
        return task

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return True

    def is_closed(self) -> bool:
        return False

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        error = context.get("exception")
        text = "".join(traceback.format_exception(error)) if error is not None else ""
        self._scheduler.errors.append(f"{self.name}: {context.get('message')}\n{text}")

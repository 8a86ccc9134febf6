"""`SyncRouter`: the same calls for scripts and threads. One background thread runs the loop of one `Router`."""

import asyncio
import functools
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

from homing.client.errors import Unavailable
from homing.client.events import TraceContext, current_traceparent
from homing.client.pushing import PushBounds
from homing.client.router import Router

COMPLETIONS = 0.05  # seconds: gRPC still completes what was cancelled, and must not find a closed loop

P = ParamSpec("P")
T = TypeVar("T")


def _twin(
    method: Callable[Concatenate[Router, P], Coroutine[Any, Any, T]],
) -> "Callable[Concatenate[SyncRouter, P], T]":
    """The method, with its signature and its docstring, run to its end in the background."""

    def call(self: "SyncRouter", /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self._run(lambda router: method(router, *args, **kwargs))

    functools.update_wrapper(call, method)
    return call


def _iterating_twin(
    method: Callable[Concatenate[Router, P], AsyncIterator[T]],
) -> "Callable[Concatenate[SyncRouter, P], Iterator[T]]":
    """The same for what is told bit by bit."""

    def call(self: "SyncRouter", /, *args: P.args, **kwargs: P.kwargs) -> Iterator[T]:
        return self._iterate(lambda router: method(router, *args, **kwargs))

    functools.update_wrapper(call, method)
    return call


class SyncRouter:
    """`Router` without asyncio; any number of threads may share one, and their pushes share its stream.

    with SyncRouter("127.0.0.1:8500") as router:
        print(router.push(user="ada", event="hello", data={"text": "hi"}).counts)
    """

    push = _twin(Router.push)
    locate = _twin(Router.locate)
    join = _twin(Router.join)
    leave = _twin(Router.leave)
    disconnect = _twin(Router.disconnect)
    reply = _twin(Router.reply)
    presence = _iterating_twin(Router.presence)
    watch_user = _iterating_twin(Router.watch_user)
    watch_nodes = _iterating_twin(Router.watch_nodes)

    def __init__(self, *addresses: str, bounds: PushBounds | None = None) -> None:
        """As Router's. ValueError: no address, or a malformed one."""
        self._router = Router(*addresses, bounds=bounds)
        self._loop = asyncio.new_event_loop()
        self._closing = threading.Lock()
        self._thread = threading.Thread(target=self._loop.run_forever, name="homing-router", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """End the streams and the thread. Closing twice is no error."""
        with self._closing:
            if self._loop.is_closed():
                return
            asyncio.run_coroutine_threadsafe(self._router.close(), self._loop).result()
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.run_until_complete(_end_all())
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
            self._loop.close()

    def _run(self, work: Callable[[Router], Coroutine[Any, Any, T]]) -> T:
        if self._loop.is_closed():
            raise Unavailable("this SyncRouter was closed")
        done = asyncio.run_coroutine_threadsafe(_within(current_traceparent(), work, self._router), self._loop)
        try:
            return done.result()
        except BaseException:
            done.cancel()  # Ctrl-C in a script: nobody waits for it any more
            raise

    def _iterate(self, begin: Callable[[Router], AsyncIterator[T]]) -> Iterator[T]:
        going = begin(self._router)

        async def advance(_: Router) -> tuple[bool, T | None]:
            try:
                return True, await anext(going)
            except StopAsyncIteration:
                return False, None

        async def end() -> None:
            await going.aclose()  # type: ignore[attr-defined]

        try:
            while True:
                more, item = self._run(advance)
                if not more:
                    return
                yield item  # type: ignore[misc]
        finally:
            if not self._loop.is_closed():  # nobody waits: it may be the loop's own thread that collects us
                asyncio.run_coroutine_threadsafe(end(), self._loop)


async def _within(traceparent: str, work: Callable[[Router], Coroutine[Any, Any, T]], router: Router) -> T:
    """Run in the caller's trace, which a task of another thread would not see."""
    with TraceContext(traceparent, ""):
        return await work(router)


async def _end_all() -> None:
    """Cancel what still runs on this loop, and wait for it."""
    running = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)
    await asyncio.sleep(COMPLETIONS)

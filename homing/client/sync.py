"""`SyncRouter`: the calls of `Router` for scripts and threads; a background thread runs its event loop."""

import asyncio
import functools
import os
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

from homing.client.errors import Unavailable
from homing.client.events import TraceContext, current_traceparent
from homing.client.push_stream import PushBounds
from homing.client.router import CONNECT_TIMEOUT, Router
from homing.client.run_dir import run_dir_routers

CANCELLATION_WAIT = 0.05  # seconds in which gRPC completes cancelled calls, before the loop closes

P = ParamSpec("P")
T = TypeVar("T")


def _blocking(
    method: Callable[Concatenate[Router, P], Coroutine[Any, Any, T]],
) -> "Callable[Concatenate[SyncRouter, P], T]":
    """A method of Router as a blocking call, with its signature and docstring."""

    def call(self: "SyncRouter", /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self._run(lambda router: method(router, *args, **kwargs))

    functools.update_wrapper(call, method)
    return call


def _blocking_iterator(
    method: Callable[Concatenate[Router, P], AsyncIterator[T]],
) -> "Callable[Concatenate[SyncRouter, P], Iterator[T]]":
    """An asynchronous iterator of Router as a blocking iterator."""

    def call(self: "SyncRouter", /, *args: P.args, **kwargs: P.kwargs) -> Iterator[T]:
        return self._iterate(
            method(self._router, *args, **kwargs)
        )  # the arguments are checked now, not at the first next

    functools.update_wrapper(call, method)
    return call


class SyncRouter:
    """`Router` without asyncio. Threads may share one SyncRouter; their pushes share its stream.

    with SyncRouter("127.0.0.1:8500") as router:
        print(router.push(user="ada", event="hello", data={"text": "hi"}).counts)
    """

    push = _blocking(Router.push)
    locate = _blocking(Router.locate)
    join = _blocking(Router.join)
    leave = _blocking(Router.leave)
    disconnect = _blocking(Router.disconnect)
    reply = _blocking(Router.reply)
    presence = _blocking_iterator(Router.presence)
    watch_user = _blocking_iterator(Router.watch_user)
    watch_nodes = _blocking_iterator(Router.watch_nodes)

    def __init__(
        self, *addresses: str, bounds: PushBounds | None = None, connect_timeout: float = CONNECT_TIMEOUT
    ) -> None:
        """Arguments and errors as for Router."""
        self._router = Router(*addresses, bounds=bounds, connect_timeout=connect_timeout)
        self._loop = asyncio.new_event_loop()
        self._closing = threading.Lock()
        self._thread = threading.Thread(target=self._loop.run_forever, name="homing-router", daemon=True)
        self._thread.start()

    @classmethod
    def from_run_dir(cls, run_dir: str | os.PathLike[str] = ".homing", **options: Any) -> Self:  # noqa: ANN401
        """As Router.from_run_dir."""
        return cls(*run_dir_routers(run_dir), **options)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the streams and stop the thread. Idempotent."""
        with self._closing:
            if self._loop.is_closed():
                return
            asyncio.run_coroutine_threadsafe(self._router.close(), self._loop).result()
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.run_until_complete(_cancel_tasks())
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
            self._loop.close()

    def _run(self, work: Callable[[Router], Coroutine[Any, Any, T]]) -> T:
        if self._loop.is_closed():
            raise Unavailable("this SyncRouter was closed")
        result = asyncio.run_coroutine_threadsafe(_run_in_trace(current_traceparent(), work, self._router), self._loop)
        try:
            return result.result()
        except BaseException:
            result.cancel()  # Ctrl-C in a script: nobody waits for the result any more
            raise

    def _iterate(self, iterator: AsyncIterator[T]) -> Iterator[T]:
        async def advance(_: Router) -> tuple[bool, T | None]:
            try:
                return True, await anext(iterator)
            except StopAsyncIteration:
                return False, None

        async def close() -> None:
            await iterator.aclose()  # type: ignore[attr-defined]

        try:
            while True:
                more, item = self._run(advance)
                if not more:
                    return
                yield item  # type: ignore[misc]
        finally:
            if not self._loop.is_closed():  # no wait: the garbage collector may run in the loop's thread
                asyncio.run_coroutine_threadsafe(close(), self._loop)


async def _run_in_trace(traceparent: str, work: Callable[[Router], Coroutine[Any, Any, T]], router: Router) -> T:
    """Run `work` in the caller's trace, which a task of another thread would not inherit."""
    with TraceContext(traceparent, ""):
        return await work(router)


async def _cancel_tasks() -> None:
    """Cancel the tasks of this loop and wait for their end."""
    running = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)
    await asyncio.sleep(CANCELLATION_WAIT)

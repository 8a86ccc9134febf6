"""`Router`: the router API for backends, typed, over gRPC."""

import asyncio
import functools
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from types import TracebackType
from typing import Any, Self, TypeVar

from homing.client import requests, responses
from homing.client.arguments import UINT32, check_flag, check_number, check_text, check_wait
from homing.client.backoff import AddressRotation
from homing.client.calls import RouterCalls
from homing.client.errors import Unavailable
from homing.client.events import current_traceparent
from homing.client.push_stream import PushBounds, PushStreamClient
from homing.client.reachability import Reachability
from homing.client.run_dir import run_dir_routers
from homing.client.values import (
    LocateResult,
    NodeDown,
    NodeUp,
    Outcome,
    PresencePage,
    Report,
    SessionConnected,
    SessionDisconnected,
    Synced,
)
from homing.client.watch_state import NodeWatch, UserWatch, WatchState
from homing.v1 import router_pb2 as pb
from homing.v1.router_pb2_grpc import RouterStub

Response = TypeVar("Response")
Change = TypeVar("Change")

CONNECT_TIMEOUT = 5.0  # seconds
MAY_BE_DELIVERED = "the reply may or may not have been delivered"


class Router:
    """A client of a cluster's routers. A context manager; one per process is enough for any load.

    Several addresses are alternatives: when the router in use fails, the next address is tried, with a back-off.
    The constructor opens no connection; the first call does.
    """

    def __init__(
        self, *addresses: str, bounds: PushBounds | None = None, connect_timeout: float = CONNECT_TIMEOUT
    ) -> None:
        """`addresses`: host:port of each router's gRPC port. `connect_timeout`: seconds that a call waits for any of
        them to take a connection, before it raises Unavailable. ValueError, TypeError: no address, or a malformed one.
        """
        if bounds is not None and not isinstance(bounds, PushBounds):
            raise TypeError(f"bounds must be PushBounds, not {type(bounds).__name__}")
        rotation = AddressRotation(addresses)
        reachability = Reachability(addresses, check_wait("connect_timeout", connect_timeout), time.monotonic)
        self._calls = RouterCalls(rotation, reachability)
        self._push_stream = PushStreamClient(AddressRotation(addresses), bounds or PushBounds(), reachability)
        self._push_task: asyncio.Task[None] | None = None
        self._closed = False

    @classmethod
    def from_run_dir(cls, run_dir: str | os.PathLike[str] = ".homing", **options: Any) -> Self:  # noqa: ANN401
        """A client of all routers of the cluster that `homing up` runs here, by DIR/cluster.json.

        `options`: as for the constructor. NoCluster: none runs here.
        """
        return cls(*run_dir_routers(run_dir), **options)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the streams. Pending pushes raise Unavailable, so await their reports first."""
        self._closed = True
        if self._push_task is not None:
            self._push_stream.close()
            self._push_task.cancel()
            await asyncio.gather(self._push_task, return_exceptions=True)
        await self._calls.close()

    async def push(
        self,
        *,
        event: str,
        data: Any = None,  # noqa: ANN401 - any JSON value, or bytes
        session: int | None = None,
        user: str | None = None,
        file: str | None = None,
        everyone: bool = False,
        namespace: str = "",
        content_type: str = "",
        push_id: str | None = None,
        ttl: float | None = None,
        ack_timeout: float | None = None,
        durable: bool = False,
        except_sessions: Iterable[int] = (),
        max_deliveries: int | None = None,
        traceparent: str | None = None,
    ) -> Report:
        """Push one message to one target. Returns the report: the outcome of each session.

        Name exactly one of `session`, `user`, `file`, `everyone`. `data` is any JSON value (dataclasses and msgspec
        structs too), or bytes, which are carried unchanged: JSON when `content_type` is "", else of that type.
        `ttl` (seconds, 30 by default): the push is never written after it. `ack_timeout` (seconds): how long to wait
        for the clients' acks; None requests no acks. `traceparent`: by default the current trace (`trace_of`,
        OpenTelemetry).

        All pushes of a Router share one stream, in batches; many tasks may push at once. Pushes to one target are
        written in the order of the calls. When the router dies, unreported pushes are sent to the next router with the
        same push_id: a session that has received the push is DUPLICATE, and one whose ack is awaited still reports it.
        Only when the owning gateway dies too may a push be received twice, with the same push id.

        Raises Refused (nothing was sent; `field` names the cause), Unavailable (delivered or not is unknown),
        TypeError and ValueError for arguments that are wrong without asking a router.
        """
        request = requests.make_push(
            requests.make_target(session, user, file, everyone, namespace),
            event,
            data,
            content_type=content_type,
            push_id=push_id or None,
            ttl=ttl,
            ack_timeout=ack_timeout,
            durable=durable,
            except_sessions=except_sessions,
            max_deliveries=max_deliveries,
            traceparent=current_traceparent() if traceparent is None else traceparent,
        )
        self._check_open()
        self._calls.check_loop()
        if self._push_task is None or self._push_task.done():
            self._push_task = asyncio.get_running_loop().create_task(self._push_stream.run())
        return await self._push_stream.push(request)

    async def locate(
        self,
        *,
        session: int | None = None,
        user: str | None = None,
        file: str | None = None,
        everyone: bool = False,
        namespace: str = "",
    ) -> LocateResult:
        """A dry run: the nodes that a push to this target would be sent to."""
        request = pb.LocateRequest(target=requests.make_target(session, user, file, everyone, namespace))
        return responses.decode_locate(await self._call(lambda stub, timeout: stub.Locate(request, timeout=timeout)))

    def presence(
        self, *, user: str | None = None, file: str | None = None, page_size: int = 0
    ) -> AsyncIterator[PresencePage]:
        """The sessions of a user or a file, page by page (100 sessions a page by default, at most 1,000)."""
        requests.make_target(None, user, file, False)
        request = pb.PresenceRequest(user=user, file=file, page_size=check_number("page_size", page_size, UINT32))
        self._check_open()
        return self._pages(request)

    async def _pages(self, request: pb.PresenceRequest) -> AsyncIterator[PresencePage]:
        while True:
            response = await self._call(functools.partial(_presence, request))
            yield responses.decode_page(response)
            request.page_token = response.next_page_token
            if not request.page_token:
                return

    async def join(self, file: str, *, session: int | None = None, user: str | None = None) -> int:
        """Join a file for one session, or for all current sessions of a user. Returns the number of sessions."""
        target = requests.make_target(session, user, None, False)
        request = pb.JoinRequest(target=target, file=check_text("file", file))
        return int((await self._call(lambda stub, timeout: stub.Join(request, timeout=timeout))).sessions)

    async def leave(self, file: str, *, session: int | None = None, user: str | None = None) -> int:
        """Leave a file for one session, or for all current sessions of a user. Returns the number of sessions."""
        request = pb.LeaveRequest(
            target=requests.make_target(session, user, None, False), file=check_text("file", file)
        )
        return int((await self._call(lambda stub, timeout: stub.Leave(request, timeout=timeout))).sessions)

    async def disconnect(
        self,
        *,
        session: int | None = None,
        user: str | None = None,
        file: str | None = None,
        everyone: bool = False,
        namespace: str = "",
        reason: str = "",
        allow_reconnect: bool = False,
    ) -> int:
        """Close sessions. Returns their number. `allow_reconnect`: whether their clients may reconnect."""
        request = pb.DisconnectRequest(
            target=requests.make_target(session, user, file, everyone, namespace),
            reason=check_text("reason", reason),
            allow_reconnect=check_flag("allow_reconnect", allow_reconnect),
        )
        return int((await self._call(lambda stub, timeout: stub.Disconnect(request, timeout=timeout))).sessions)

    async def reply(
        self,
        session: int,
        ack: int,
        data: Any = None,  # noqa: ANN401 - any JSON value, or bytes
        *,
        content_type: str = "",
        error: str | tuple[str, str] | None = None,
    ) -> Outcome:
        """Reply to a client's event that requests a reply: `session` and `ack` are the event's X-ID and X-Ack.

        `error` (a message, or code and message) replies with an error in place of `data`; TypeError: both are named.
        """
        request = requests.make_reply(session, ack, data, content_type, error)
        return responses.decode_outcome(
            (await self._call(lambda stub, timeout: stub.Reply(request, timeout=timeout), MAY_BE_DELIVERED)).outcome
        )

    def watch_user(self, user: str) -> AsyncIterator[SessionConnected | SessionDisconnected | Synced]:
        """Watch a user's sessions: the connected ones first, then `Synced`, then changes.

        The watch survives a router's death: changes of the meantime follow once the next router is synced.
        """
        return self._watch(pb.WatchRequest(user=check_text("user", user)), UserWatch())

    def watch_nodes(self) -> AsyncIterator[NodeUp | NodeDown | Synced]:
        """Watch the gateways: the current ones first, then `Synced`, then changes, and their counters each second."""
        return self._watch(pb.WatchRequest(nodes=True), NodeWatch())

    async def _call(self, send: Callable[[RouterStub, float], Awaitable[Response]], sent_once: str = "") -> Response:
        self._check_open()
        return await self._calls.call(send, sent_once)

    def _watch(self, request: pb.WatchRequest, state: WatchState[Change]) -> AsyncIterator[Change]:
        self._check_open()
        return self._calls.watch(request, state)

    def _check_open(self) -> None:
        if self._closed:
            raise Unavailable("this Router was closed")


async def _presence(request: pb.PresenceRequest, stub: RouterStub, timeout: float) -> pb.PresenceResponse:
    response: pb.PresenceResponse = await stub.Presence(request, timeout=timeout)
    return response

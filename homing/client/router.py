"""`Router`: everything that a backend can ask of a router, typed, over gRPC."""

import asyncio
import functools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from types import TracebackType
from typing import Any, Self, TypeVar

import grpc
import grpc.aio

from homing.client import answers, requests
from homing.client.backoff import AddressRotation
from homing.client.channels import open_channel
from homing.client.errors import Refused, RouterError, Unavailable
from homing.client.events import current_traceparent
from homing.client.pushing import PushBounds, PushStreamClient
from homing.client.values import Came, Left, Located, NodeDown, NodeUp, Outcome, Page, Report, Synced
from homing.client.watching import NodeWatch, UserWatch, WatchState
from homing.v1 import router_pb2 as pb
from homing.v1.router_pb2_grpc import RouterStub

Answer = TypeVar("Answer")
Change = TypeVar("Change")

CALL_LIMIT = 10.0  # seconds for a call that is not a push, retries included


class Router:
    """The routers of a cluster, as one. Use it as a context manager; one per process is enough for any load.

    Several addresses are alternatives: when the router in use goes away the next one is taken, with a back-off.
    Cheap to make; nothing is dialled before the first call.
    """

    def __init__(self, *addresses: str, bounds: PushBounds | None = None) -> None:
        """`addresses`: host:port of each router's gRPC port. ValueError: none, or a malformed one."""
        self._turns = AddressRotation(addresses)
        self._pusher = PushStreamClient(AddressRotation(addresses), bounds or PushBounds())
        self._pushing: asyncio.Task[None] | None = None
        self._channels: dict[str, grpc.aio.Channel] = {}
        self._closed = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """End the streams. Pushes still under way raise Unavailable, so await their reports first."""
        self._closed = True
        if self._pushing is not None:
            self._pusher.close()
            self._pushing.cancel()
            await asyncio.gather(self._pushing, return_exceptions=True)
        for channel in self._channels.values():
            await channel.close()
        self._channels.clear()

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
        """Push one message to one target; what became of it, session by session.

        Name exactly one of `session`, `user`, `file`, `everyone`. `data` is any JSON value (dataclasses and msgspec
        structs too), or bytes that are carried as they are: JSON when `content_type` is "", else what it says.
        `ttl` (seconds, 30 by default): never written after it. `ack_timeout` (seconds): wait so long for the clients'
        acks; absent: none is asked for. `traceparent`: by default the current trace's (`trace_of`, OpenTelemetry).

        All pushes of this Router go over one stream, batched by themselves; many tasks may push at once. Pushes to one
        target are written in the order of these calls. When the router dies, pushes without a report go to the next
        one with the same push_id. That is safe against doubles only once the owners drop push_ids they have seen, WHICH
        IS NOT BUILT YET: until then a push whose router died may arrive twice, and the client can tell by its push id.

        Raises Refused (nothing was sent; `field` tells why), Unavailable (it may or may not have been delivered),
        TypeError and ValueError for what no router needs to judge.
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
        if self._pushing is None or self._pushing.done():
            self._pushing = asyncio.get_running_loop().create_task(self._pusher.run())
        return await self._pusher.push(request)

    async def locate(
        self, *, session: int | None = None, user: str | None = None, file: str | None = None, everyone: bool = False
    ) -> Located:
        """A dry run: where would a push to this target go?"""
        request = pb.LocateRequest(target=requests.make_target(session, user, file, everyone))
        return answers.located(await self._ask(lambda stub, limit: stub.Locate(request, timeout=limit)))

    async def presence(
        self, *, user: str | None = None, file: str | None = None, page_size: int = 0
    ) -> AsyncIterator[Page]:
        """Who is there, page by page (100 sessions each by default, at most 1,000)."""
        of = requests.make_target(None, user, file, False)
        token = ""
        while True:
            request = pb.PresenceRequest(page_size=page_size, page_token=token)
            if user is not None:
                request.user = of.user
            else:
                request.file = of.file
            said = await self._ask(functools.partial(_presence, request))
            yield answers.page(said)
            token = said.next_page_token
            if not token:
                return

    async def join(self, file: str, *, session: int | None = None, user: str | None = None) -> int:
        """Join a file for a session, or for all of a user's that are live now; how many they are."""
        request = pb.JoinRequest(target=requests.make_target(session, user, None, False), file=file)
        return int((await self._ask(lambda stub, limit: stub.Join(request, timeout=limit))).sessions)

    async def leave(self, file: str, *, session: int | None = None, user: str | None = None) -> int:
        """Leave a file for a session, or for all of a user's that are live now; how many they are."""
        request = pb.LeaveRequest(target=requests.make_target(session, user, None, False), file=file)
        return int((await self._ask(lambda stub, limit: stub.Leave(request, timeout=limit))).sessions)

    async def disconnect(
        self,
        *,
        session: int | None = None,
        user: str | None = None,
        file: str | None = None,
        everyone: bool = False,
        reason: str = "",
        allow_reconnect: bool = False,
    ) -> int:
        """Close sessions; how many. With `allow_reconnect` their clients come back, else they stay away."""
        target = requests.make_target(session, user, file, everyone)
        request = pb.DisconnectRequest(target=target, reason=reason, allow_reconnect=allow_reconnect)
        return int((await self._ask(lambda stub, limit: stub.Disconnect(request, timeout=limit))).sessions)

    async def reply(
        self,
        session: int,
        ack: int,
        data: Any = None,  # noqa: ANN401 - any JSON value, or bytes
        *,
        content_type: str = "",
        error: str | tuple[str, str] | None = None,
    ) -> Outcome:
        """Answer a client's event that wants it: `session` and `ack` are the event's X-ID and X-Ack.

        `error` (a message, or code and message) answers with an error in place of `data`.
        """
        request = requests.make_reply(session, ack, data, content_type, error)
        return answers.outcome((await self._ask(lambda stub, limit: stub.Reply(request, timeout=limit))).outcome)

    def watch_user(self, user: str) -> AsyncIterator[Came | Left | Synced]:
        """The user's sessions: those that are there, `Synced`, then changes.

        Goes on over a router's death: what changed meanwhile is told when the next router has said all that is there.
        """
        return self._watch(pb.WatchRequest(user=user), UserWatch())

    def watch_nodes(self) -> AsyncIterator[NodeUp | NodeDown | Synced]:
        """The gateways: those that are there, `Synced`, then changes, and each second what they count."""
        return self._watch(pb.WatchRequest(nodes=True), NodeWatch())

    async def _watch(self, request: pb.WatchRequest, state: WatchState[Change]) -> AsyncIterator[Change]:
        self._check_open()
        turns = AddressRotation(self._turns.addresses)
        while True:
            state.begin()
            try:
                async with open_channel(turns.address) as channel:
                    call = RouterStub(channel).Watch(request)  # type: ignore[no-untyped-call]
                    async for response in call:
                        turns.worked()
                        for change in state.take(response):
                            yield change
            except grpc.aio.AioRpcError as error:
                if error.code() is not grpc.StatusCode.UNAVAILABLE:
                    raise _told(error) from None
            await asyncio.sleep(turns.failed())

    async def _ask(self, ask: Callable[[RouterStub, float], Awaitable[Answer]]) -> Answer:
        """One call, at the router in use, else at the others in turn. None of them does harm when it is done twice."""
        self._check_open()
        loop = asyncio.get_running_loop()
        deadline = loop.time() + CALL_LIMIT
        while True:
            try:
                answer = await ask(self._stub(), max(0.1, deadline - loop.time()))
            except grpc.aio.AioRpcError as error:
                pause = self._turns.failed() if error.code() is grpc.StatusCode.UNAVAILABLE else None
                if pause is None or loop.time() + pause >= deadline:
                    raise _told(error) from None
                await asyncio.sleep(pause)
            else:
                self._turns.worked()
                return answer

    def _stub(self) -> RouterStub:
        address = self._turns.address
        if address not in self._channels:
            self._channels[address] = open_channel(address)
        return RouterStub(self._channels[address])  # type: ignore[no-untyped-call]

    def _check_open(self) -> None:
        if self._closed:
            raise Unavailable("this Router was closed")


async def _presence(request: pb.PresenceRequest, stub: RouterStub, limit: float) -> pb.PresenceResponse:
    said: pb.PresenceResponse = await stub.Presence(request, timeout=limit)
    return said


def _told(error: grpc.aio.AioRpcError) -> RouterError:
    """gRPC's error as ours."""
    code, details = error.code().name, error.details() or ""
    if code in ("UNAVAILABLE", "DEADLINE_EXCEEDED", "CANCELLED"):
        return Unavailable(f"{code}: {details}")
    told = {key: value for key, value in error.trailing_metadata() or () if isinstance(value, str)}
    wait = told.get("retry-after-ms", "")
    return Refused(code, details, told.get("homing-field", ""), int(wait) / 1000 if wait.isdecimal() else None)

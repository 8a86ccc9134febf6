"""The calls of a `Router` that are not pushes: to the router in use, and to the next one when that fails."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar

import grpc
import grpc.aio

from homing.client.backoff import AddressRotation
from homing.client.channels import open_channel, wait_connected
from homing.client.errors import Refused, RouterError, Unavailable
from homing.client.reachability import ATTEMPT, Reachability, last_reason
from homing.client.watch_state import WatchState
from homing.v1 import router_pb2 as pb
from homing.v1.router_pb2_grpc import RouterStub

Response = TypeVar("Response")
Change = TypeVar("Change")

CALL_TIMEOUT = 10.0  # seconds for a call, with its retries
LEAST_CALL = 5.0  # seconds for a call that had to wait for its first router as long as it may


class RouterCalls:
    """Unary calls and watches over one channel for each address."""

    def __init__(self, addresses: AddressRotation, reachability: Reachability) -> None:
        self._addresses = addresses
        self._reachability = reachability
        self._channels: dict[str, grpc.aio.Channel] = {}
        self._loop: asyncio.AbstractEventLoop | None = None

    def check_loop(self) -> None:
        """RuntimeError: the first call was made in another event loop, which has the connections."""
        loop = asyncio.get_running_loop()
        if self._loop not in (None, loop):
            raise RuntimeError(
                "this Router belongs to the event loop of its first call, and this is another one (each asyncio.run "
                "makes one); make a Router in each event loop, or use SyncRouter"
            )
        self._loop = loop

    async def close(self) -> None:
        """Close the channels."""
        for channel in self._channels.values():
            await channel.close()
        self._channels.clear()

    async def watch(self, request: pb.WatchRequest, state: WatchState[Change]) -> AsyncIterator[Change]:
        """The changes that `state` makes of the responses, over the router in use, else the others in turn.

        Unavailable: no router took the first connection in time. One that was lost is tried again for ever.
        """
        self.check_loop()
        addresses = AddressRotation(self._addresses.addresses)
        began: float | None = time.monotonic()  # None after the first answer: from then on it is tried for ever
        while True:
            state.begin()
            address, attempt_began = addresses.address, time.monotonic()
            limit = ATTEMPT if began is None else self._reachability.attempt_limit(began)
            try:
                async with open_channel(address) as channel:
                    await wait_connected(channel, limit)
                    call = RouterStub(channel).Watch(request)  # type: ignore[no-untyped-call]
                    async for response in call:
                        addresses.succeeded()
                        self._reachability.reached(address)
                        began = None
                        for change in state.apply(response):
                            yield change
            except TimeoutError:
                self._reachability.failed(address, "no answer", attempt_began)
            except grpc.aio.AioRpcError as error:
                if error.code() is not grpc.StatusCode.UNAVAILABLE:
                    raise _router_error(address, error) from None
                self._record_unavailable(address, error, attempt_began if began is not None else None)
            delay = min(addresses.failed(), self._reachability.longest_delay)
            if began is not None:
                left = self._reachability.give_up_at(began) - time.monotonic()
                if left <= 0:
                    raise Unavailable(self._reachability.describe())
                delay = min(delay, left)
            await asyncio.sleep(delay)

    async def call(self, send: Callable[[RouterStub, float], Awaitable[Response]], sent_once: str = "") -> Response:
        """One call to the router in use, else to the others in turn.

        `send` receives the stub and the seconds that are left. `sent_once`: what to say of a call that must not be sent
        to another router, when its first one was lost during it. Refused, Unavailable.
        """
        self.check_loop()
        began = time.monotonic()
        deadline = began + max(CALL_TIMEOUT, self._reachability.connect_timeout + LEAST_CALL)
        while True:
            address, attempt_began = self._addresses.address, time.monotonic()
            channel = self._channel(address)
            connected = False
            try:
                connected = await wait_connected(channel, self._reachability.attempt_limit(began))
                stub = RouterStub(channel)  # type: ignore[no-untyped-call]
                response = await send(stub, max(0.1, deadline - time.monotonic()))
            except TimeoutError:
                self._reachability.failed(address, "no answer", attempt_began)
                failed: RouterError = Unavailable(self._reachability.describe())
                give_up_at = self._reachability.give_up_at(began)
            except grpc.aio.AioRpcError as error:
                if error.code() is not grpc.StatusCode.UNAVAILABLE:
                    raise _router_error(address, error) from None
                unreachable = self._record_unavailable(address, error, None if connected else attempt_began)
                if sent_once and unreachable and connected:
                    raise Unavailable(f"router {address} was lost during the call; {sent_once}") from None
                failed = Unavailable(self._reachability.describe()) if unreachable else _router_error(address, error)
                give_up_at = self._reachability.give_up_at(began) if unreachable else deadline
            else:
                self._addresses.succeeded()
                self._reachability.reached(address)
                return response
            delay = min(self._addresses.failed(), self._reachability.longest_delay)
            left = min(give_up_at, deadline) - time.monotonic()
            if left <= 0:
                raise failed from None
            await asyncio.sleep(min(delay, left))

    def _record_unavailable(self, address: str, error: grpc.aio.AioRpcError, since: float | None) -> bool:
        """Whether no router has answered at all; a router's own UNAVAILABLE shows that it is there."""
        if error.initial_metadata() or error.trailing_metadata():
            return False
        self._reachability.failed(address, last_reason(error.details() or "no answer"), since)
        return True

    def _channel(self, address: str) -> grpc.aio.Channel:
        if address not in self._channels:
            self._channels[address] = open_channel(address)
        return self._channels[address]


def _router_error(address: str, error: grpc.aio.AioRpcError) -> RouterError:
    """A gRPC error of the router at `address` as a RouterError."""
    code, details = error.code().name, error.details() or ""
    if code in ("UNAVAILABLE", "DEADLINE_EXCEEDED", "CANCELLED"):
        return Unavailable(f"router {address}: {code}: {details}")
    metadata = {key: value for key, value in error.trailing_metadata() or () if isinstance(value, str)}
    wait_ms = metadata.get("retry-after-ms", "")
    retry_after = int(wait_ms) / 1000 if wait_ms.isdecimal() else None
    return Refused(code, details, metadata.get("homing-field", ""), retry_after)

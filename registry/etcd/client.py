"""Calls to an etcd cluster: deadlines, retries, authentication, TLS, and errors that name the remedy.

The messages are `registry.etcd.v1`; the paths of the methods are etcd's own, since message names are not on the wire.
One connection to any of the endpoints, and to the next one when an endpoint does not answer; a deadline for every
attempt, since a blackholed member never refuses; a retry only of what is idempotent; a new token when the old one has
expired. gRPC is `runtime.grpc_wire` (docs/decisions/0007-all-grpc-on-streams.md).
"""

import asyncio
import random
import ssl
import time
from typing import NamedTuple, TypeVar

import msgspec
from google.protobuf.message import DecodeError, Message

from registry.etcd.availability import Availability
from registry.etcd.v1 import etcd_pb2 as pb
from registry.store import Compacted, FutureRevision, LeaseNotFound, StoreError, StoreRefused, StoreUnavailable
from runtime.grpc_wire.call import Call, StreamHandler
from runtime.grpc_wire.channel import Address, Channel, Tls, unary_call
from runtime.grpc_wire.header_blocks import HeaderFields
from runtime.grpc_wire.status import (
    CANCELLED,
    DEADLINE_EXCEEDED,
    INTERNAL,
    OUT_OF_RANGE,
    PERMISSION_DENIED,
    RESOURCE_EXHAUSTED,
    STATUS_NAMES,
    UNAUTHENTICATED,
    UNAVAILABLE,
    StreamEnded,
)

ATTEMPTS = 3  # of an idempotent call
FIRST_PAUSE = 0.05  # seconds before the second attempt; doubles, jittered

_Response = TypeVar("_Response", bound=Message)


class EtcdSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How etcd is reached."""

    endpoints: tuple[str, ...] = ("127.0.0.1:2379",)  # host:port of each member
    user: str = ""  # of etcd; "": no authentication
    password: str = ""
    ca: str = ""  # path of the PEM of the CA of etcd's certificate; TLS if this or `cert` is there
    cert: str = ""  # path of our client certificate, PEM
    key: str = ""  # path of its key, PEM
    server_name: str = ""  # in etcd's certificate; "": the host that is dialled
    timeout: float = 2.0  # seconds for one attempt


class Method(NamedTuple):
    """A method of etcd, by its path on the wire."""

    path: str
    request: type[Message]
    response: type[Message]


RANGE = Method("/etcdserverpb.KV/Range", pb.RangeRequest, pb.RangeResponse)
TXN = Method("/etcdserverpb.KV/Txn", pb.TxnRequest, pb.TxnResponse)
COMPACT = Method("/etcdserverpb.KV/Compact", pb.CompactionRequest, pb.CompactionResponse)
GRANT = Method("/etcdserverpb.Lease/LeaseGrant", pb.LeaseGrantRequest, pb.LeaseGrantResponse)
REVOKE = Method("/etcdserverpb.Lease/LeaseRevoke", pb.LeaseRevokeRequest, pb.LeaseRevokeResponse)
KEEP_ALIVE = Method("/etcdserverpb.Lease/LeaseKeepAlive", pb.LeaseKeepAliveRequest, pb.LeaseKeepAliveResponse)
WATCH = Method("/etcdserverpb.Watch/Watch", pb.WatchRequest, pb.WatchResponse)
AUTHENTICATE = Method("/etcdserverpb.Auth/Authenticate", pb.AuthenticateRequest, pb.AuthenticateResponse)

_UNAVAILABLE = frozenset({UNAVAILABLE, DEADLINE_EXCEEDED, CANCELLED})


class EtcdClient:
    """Calls to the cluster. Connects on first use, in the loop of that call."""

    def __init__(self, settings: EtcdSettings) -> None:
        self.settings = settings
        self.address = ", ".join(settings.endpoints)
        self.availability = Availability(self.address, time.monotonic)
        self._channel: Channel | None = None
        self._closed = False
        self._token = b""
        self._authenticating = asyncio.Lock()

    async def call(self, method: Method, request: Message, response: type[_Response], *, retry: bool) -> _Response:
        """A unary call; with `retry`, only for an idempotent one, up to three attempts. StoreError."""
        attempts = ATTEMPTS if retry else 1
        for attempt in range(1, attempts + 1):
            try:
                received = await self._attempt(method, request)
                assert isinstance(received, response)
                self.availability.answered()
                return received
            except StoreUnavailable as error:
                if attempt == attempts:
                    self.availability.failed(str(error))
                    raise
            await asyncio.sleep(FIRST_PAUSE * 2**attempt * random.uniform(0.5, 1.0))
        raise AssertionError("unreachable")

    async def _attempt(self, method: Method, request: Message) -> Message:
        for renewed in (False, True):
            metadata = await self._metadata()
            try:
                return await self._send(method, request, metadata)
            except StreamEnded as how:
                # A call that was refused for its token was not executed, so any call may be repeated.
                if renewed or not self._drop_stale_token(how):
                    raise self.error(how) from None
        raise AssertionError("unreachable")

    async def _send(self, method: Method, request: Message, metadata: HeaderFields) -> Message:
        try:
            response = await unary_call(self._open(), method.path, request, self.settings.timeout, metadata)
            return method.response.FromString(response)
        except DecodeError:
            raise StreamEnded(INTERNAL, f"the answer is no {method.response.__name__}") from None
        except StreamEnded as how:
            if how.status == DEADLINE_EXCEEDED:
                self.switch_endpoint()
            raise

    async def stream(self, method: Method, handler: StreamHandler, metadata: HeaderFields) -> Call:
        """Open a bidirectional stream; `stream_error` translates its end. StoreUnavailable: no member answers."""
        token = await self._metadata()
        try:
            return await self._open().call(method.path, handler, [*token, *metadata])
        except OSError as error:
            raise self._unavailable(str(error)) from None

    def switch_endpoint(self) -> None:
        """This member does not answer: the next call goes to the next one."""
        if self._channel is not None:
            self._channel.switch_server()

    # Authentication

    async def _metadata(self) -> HeaderFields:
        """The metadata that carries the token, after authentication if there is no token yet."""
        if not self.settings.user:
            return []
        async with self._authenticating:
            if not self._token:
                await self._authenticate()
            return [(b"token", self._token)]

    async def _authenticate(self) -> None:
        request = pb.AuthenticateRequest(name=self.settings.user, password=self.settings.password)
        try:
            response = await self._send(AUTHENTICATE, request, [])
        except StreamEnded as how:
            raise self.error(how) from None
        assert isinstance(response, pb.AuthenticateResponse)
        self._token = response.token.encode()

    def _drop_stale_token(self, how: StreamEnded) -> bool:
        """Whether the token was refused, so that a new one may help; if so, the old one is dropped."""
        stale = how.status == UNAUTHENTICATED or "auth: revision in header is old" in how.message
        if stale and self.settings.user:
            self._token = b""
            return True
        return False

    # Errors

    def error(self, how: StreamEnded) -> StoreError:
        """The store port's error for the status of a call, with the address and the remedy."""
        status, message = how.status, how.message
        name = STATUS_NAMES[status] if status < len(STATUS_NAMES) else f"status {status}"
        if "lease not found" in message:
            return LeaseNotFound(f"etcd at {self.address}: {message}")
        if status == OUT_OF_RANGE and "compacted" in message:
            return Compacted(0)
        if status == OUT_OF_RANGE and "future revision" in message:
            return FutureRevision(f"etcd at {self.address}: {message}")
        if status in _UNAVAILABLE:
            return self._unavailable(message or name)
        if status == RESOURCE_EXHAUSTED:
            # A retry helps as soon as there is room again, and a gateway must not end because of a full disk.
            reason = f"etcd at {self.address} is full or overloaded ({message})"
            return StoreUnavailable(f"{reason}; compact and defragment it")
        return StoreRefused(f"etcd at {self.address} refused: {message or name}{_remedy(status, message)}")

    def stream_error(self, how: StreamEnded) -> StoreError:
        """The same for a stream. StoreUnavailable also for a stale token: the stream can be opened again."""
        if self._drop_stale_token(how):
            return StoreUnavailable(f"etcd at {self.address} requests a new token")
        return self.error(how)

    def _unavailable(self, reason: str) -> StoreUnavailable:
        return StoreUnavailable(f"etcd at {self.address} does not answer ({reason}); is it running there?")

    # The channel

    def _open(self) -> Channel:
        if self._closed:
            raise StoreUnavailable(f"the client of etcd at {self.address} is closed")
        if self._channel is None:
            self._channel = Channel(self._resolve, _tls(self.settings))
        return self._channel

    async def _resolve(self) -> list[Address]:
        """The addresses of the members. Names are resolved for each connection."""
        found: dict[Address, None] = {}
        reasons = []
        for endpoint in self.settings.endpoints:
            try:
                found |= dict.fromkeys(await _resolve_endpoint(endpoint))
            except (OSError, ValueError) as error:
                reasons.append(f"{endpoint}: {error}")
        if not found:
            raise OSError(f"no name resolves: {'; '.join(reasons)}")
        return list(found)

    def close(self) -> None:
        """Close for good. Open calls end with StoreUnavailable."""
        self._closed = True
        if self._channel is not None:
            self._channel.close()


async def _resolve_endpoint(endpoint: str) -> list[Address]:
    host, _, port = endpoint.rpartition(":")
    found = await asyncio.get_running_loop().getaddrinfo(host.strip("[]"), int(port), proto=6)
    return [(str(info[4][0]), int(port)) for info in found]


def _tls(settings: EtcdSettings) -> Tls | None:
    if not (settings.ca or settings.cert):
        return None
    for path in (settings.ca, settings.cert, settings.key):
        _check_readable(path)
    try:
        context = ssl.create_default_context(cafile=settings.ca or None)
        context.set_alpn_protocols(["h2"])
        if settings.cert:
            context.load_cert_chain(settings.cert, settings.key or None)
    except ssl.SSLError as error:
        raise StoreRefused(f"etcd's TLS: {settings.ca} {settings.cert} {settings.key}: {error}") from None
    return Tls(context, settings.server_name)


def _check_readable(path: str) -> None:
    if path:
        try:
            with open(path, "rb"):
                return
        except OSError as error:
            raise StoreRefused(f"cannot read {path} for etcd's TLS: {error.strerror}") from None


def _remedy(status: int, message: str) -> str:
    if "authentication is not enabled" in message:
        return "; this etcd has no users: leave user and password out of the configuration"
    if "user name is empty" in message:
        return "; this etcd needs a user and password"
    if "authentication failed" in message:
        return "; check user and password"
    if status == PERMISSION_DENIED:
        return "; grant the user readwrite on the prefix /homing/"
    return ""

"""One channel to an etcd cluster: deadlines, retries, authentication, TLS, and errors that say what to do.

The messages are `homing.etcd.v1`; the method paths are etcd's own, because names of messages are not on the wire. The
rules, each seen to matter: one channel over all endpoints with round robin; a deadline on every attempt, since a
blackholed member never refuses; a retry only of what is idempotent; a new token when the old one has run out. Idle
keepalive pings stay off: etcd refuses them (etcd-io/etcd#15719).
"""

import asyncio
import ipaddress
import logging
import random
import time
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import grpc
import grpc.aio
import msgspec
from google.protobuf.message import Message

from homing.etcd.v1 import etcd_pb2 as pb
from registry.store import Compacted, LeaseGone, StoreAway, StoreError, StoreRefused

log = logging.getLogger(__name__)

ATTEMPTS = 3  # of an idempotent call
BACK_OFF = 0.05  # seconds before the second attempt; doubles, jittered
RESOLVE_AFTER = 5.0  # seconds after which several names that do not answer are looked up again

_Answer = TypeVar("_Answer", bound=Message)
Metadata = tuple[tuple[str, str], ...]


class EtcdSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How etcd is reached."""

    endpoints: tuple[str, ...] = ("127.0.0.1:2379",)  # host:port of each member
    user: str = ""  # with password: etcd's own users; empty: no authentication
    password: str = ""
    ca: str = ""  # path of the PEM that signs etcd's certificate; empty: no TLS, unless a client certificate is given
    cert: str = ""  # path of our client certificate, PEM
    key: str = ""  # path of its key, PEM
    server_name: str = (
        ""  # the name in etcd's certificate (grpc.ssl_target_name_override): needed with several addresses
    )
    timeout: float = 2.0  # seconds for one attempt


class Method(NamedTuple):
    """One of etcd's methods, by its path on the wire."""

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

_AWAY = frozenset({grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED})


class EtcdClient:
    """The channel. Opened on first use, in the loop that uses it."""

    def __init__(self, settings: EtcdSettings) -> None:
        self.settings = settings
        self.where = ", ".join(settings.endpoints)
        self._channel: grpc.aio.Channel | None = None
        self._opened = 0.0
        self._closed = False
        self._calls: dict[str, Any] = {}  # multicallables of the present channel
        self._token = ""
        self._authenticating = asyncio.Lock()

    async def call(self, method: Method, request: Message, answer: type[_Answer], *, retry: bool) -> _Answer:
        """One unary call. With `retry` (only for what is idempotent) up to three attempts; StoreError otherwise."""
        attempts = ATTEMPTS if retry else 1
        for attempt in range(1, attempts + 1):
            try:
                got = await self._attempt(method, request)
                assert isinstance(got, answer)
                return got
            except StoreAway:
                await self._resolve_again()
                if attempt == attempts:
                    raise
            await asyncio.sleep(BACK_OFF * 2**attempt * random.uniform(0.5, 1.0))
        raise AssertionError("unreachable")

    async def _attempt(self, method: Method, request: Message) -> Message:
        for renewed in (False, True):
            metadata = await self.metadata()
            call = await self._unary(method)
            try:
                got: Message = await call(request, timeout=self.settings.timeout, metadata=metadata)
                return got
            except asyncio.CancelledError:
                raise self.closed_under() from None
            except grpc.aio.AioRpcError as error:
                # A call that was refused for its token has not run, so it may be repeated whatever it is.
                if renewed or not self.stale_token(error):
                    raise self.error(error) from error
        raise AssertionError("unreachable")

    async def stream(self, method: Method, metadata: Metadata = ()) -> Any:  # noqa: ANN401 - grpc types it by a stub
        """Open a bidi stream: `write`, `read` and `cancel` of grpc.aio. Errors of it go through `error`."""
        token = await self.metadata()
        channel = await self._open()
        call = channel.stream_stream(
            method.path, request_serializer=_serialize, response_deserializer=method.response.FromString
        )
        return call(metadata=(*token, *metadata))

    # Authentication

    async def metadata(self) -> Metadata:
        """What carries our token; authenticates first if there is none."""
        if not self.settings.user:
            return ()
        async with self._authenticating:
            if not self._token:
                await self._authenticate()
            return (("token", self._token),)

    async def _authenticate(self) -> None:
        call = await self._unary(AUTHENTICATE)
        request = pb.AuthenticateRequest(name=self.settings.user, password=self.settings.password)
        try:
            got = await call(request, timeout=self.settings.timeout)
        except grpc.aio.AioRpcError as error:
            raise self.error(error) from error
        self._token = got.token

    def stale_token(self, error: grpc.aio.AioRpcError) -> bool:
        """Whether a new token may cure this; forgets the old one if so."""
        details = error.details() or ""
        stale = error.code() is grpc.StatusCode.UNAUTHENTICATED or "auth: revision in header is old" in details
        if stale and self.settings.user:
            self._token = ""
            return True
        return False

    # Errors

    def error(self, error: grpc.aio.AioRpcError) -> StoreError:
        """What an RPC's status means, in the store port's words, with the address and the cure."""
        code, details = error.code(), error.details() or ""
        if "lease not found" in details:
            return LeaseGone(f"etcd at {self.where}: {details}")
        if code is grpc.StatusCode.OUT_OF_RANGE and "compacted" in details:
            return Compacted(0)
        if code in _AWAY:
            return StoreAway(f"etcd at {self.where} does not answer ({details or code.name}); is it running there?")
        if code is grpc.StatusCode.RESOURCE_EXHAUSTED:
            # Waiting helps as soon as somebody has made room, and a gateway must not end for a full disk.
            return StoreAway(f"etcd at {self.where} is full or overloaded ({details}); compact and defragment it")
        return StoreRefused(f"etcd at {self.where} refused: {details or code.name}{_cure(code, details)}")

    def closed_under(self) -> BaseException:
        """What a CancelledError out of grpc.aio is: our task's own, or only the channel's, closed under the call."""
        task = asyncio.current_task()
        if task is None or task.cancelling():
            return asyncio.CancelledError()
        return StoreAway(f"the connection to etcd at {self.where} was closed meanwhile")

    def stream_error(self, error: grpc.aio.AioRpcError) -> StoreError:
        """The same for a stream: one that a new token cures is to be opened again."""
        if self.stale_token(error):
            return StoreAway(f"etcd at {self.where} wants a new token")
        return self.error(error)

    # The channel

    async def _unary(self, method: Method) -> Any:  # noqa: ANN401 - grpc types it by a stub
        channel = await self._open()
        call = self._calls.get(method.path)
        if call is None:
            call = self._calls[method.path] = channel.unary_unary(
                method.path, request_serializer=_serialize, response_deserializer=method.response.FromString
            )
        return call

    async def _open(self) -> grpc.aio.Channel:
        if self._closed:
            raise StoreAway(f"the client of etcd at {self.where} is closed")
        if self._channel is None:
            target = await self._target()
            self._channel = self._make(target)
            self._opened = time.monotonic()
        return self._channel

    async def _target(self) -> str:
        if len(self.settings.endpoints) == 1:
            return self.settings.endpoints[0] if _literal(self.settings.endpoints[0]) else f"dns:///{self.where}"
        addresses = [address for one in self.settings.endpoints for address in await self._resolve(one)]
        if not addresses:
            raise StoreAway(f"no name of etcd's endpoints resolves: {self.where}; are they spelt right?")
        scheme = "ipv6" if addresses[0].startswith("[") else "ipv4"
        return f"{scheme}:" + ",".join(dict.fromkeys(addresses))

    async def _resolve(self, endpoint: str) -> list[str]:
        """A gRPC target takes several addresses but only one name, so several names are looked up here."""
        if _literal(endpoint):
            return [endpoint]
        host, _, port = endpoint.rpartition(":")
        try:
            found = await asyncio.get_running_loop().getaddrinfo(host, int(port), proto=6)
        except (OSError, ValueError) as error:
            log.warning("etcd endpoint %s: %s", endpoint, error)
            return []
        return [f"{info[4][0]}:{port}" for info in found if ":" not in str(info[4][0])]

    async def _resolve_again(self) -> None:
        """Members may come back at other addresses; gRPC looks up one name by itself, several only we do."""
        names = [one for one in self.settings.endpoints if not _literal(one)]
        if len(self.settings.endpoints) > 1 and names and time.monotonic() - self._opened > RESOLVE_AFTER:
            await self._let_go()

    def _make(self, target: str) -> grpc.aio.Channel:
        options: list[tuple[str, Any]] = [
            ("grpc.lb_policy_name", "round_robin"),
            ("grpc.keepalive_time_ms", 10_000),
            ("grpc.keepalive_timeout_ms", 3_000),
            ("grpc.initial_reconnect_backoff_ms", 100),
            ("grpc.min_reconnect_backoff_ms", 100),
            ("grpc.max_reconnect_backoff_ms", 2_000),
            ("grpc.max_receive_message_length", -1),
            ("grpc.use_local_subchannel_pool", 1),
        ]
        settings = self.settings
        if settings.server_name:
            options.append(("grpc.ssl_target_name_override", settings.server_name))
        if settings.ca or settings.cert:
            credentials = grpc.ssl_channel_credentials(
                *(_pem(path) for path in (settings.ca, settings.key, settings.cert))
            )
            return grpc.aio.secure_channel(target, credentials, options)
        return grpc.aio.insecure_channel(target, options)

    async def close(self) -> None:
        """Close for good; what is under way ends with StoreAway."""
        self._closed = True
        await self._let_go()

    async def _let_go(self) -> None:
        channel, self._channel, self._calls = self._channel, None, {}
        if channel is not None:
            await channel.close()


def _serialize(message: Message) -> bytes:
    return message.SerializeToString()


def _literal(endpoint: str) -> bool:
    host = endpoint.rpartition(":")[0].strip("[]")
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _pem(path: str) -> bytes | None:
    if not path:
        return None
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise StoreRefused(f"cannot read {path} for etcd's TLS: {error.strerror}") from error


def _cure(code: grpc.StatusCode, details: str) -> str:
    if "authentication is not enabled" in details:
        return "; this etcd has no users: leave user and password out of the configuration"
    if "user name is empty" in details:
        return "; this etcd wants a user and password"
    if "authentication failed" in details:
        return "; check user and password"
    if code is grpc.StatusCode.PERMISSION_DENIED:
        return "; grant the user readwrite on the prefix /homing/"
    return ""

"""The calls to an etcd cluster: deadlines, retries, authentication, TLS, and errors that say what to do.

The messages are `registry.etcd.v1`; the method paths are etcd's own, because names of messages are not on the wire. The
rules, each seen to matter: one connection to any of the endpoints, and to the next one when it does not answer; a
deadline on every attempt, since a blackholed member never refuses; a retry only of what is idempotent; a new token when
the old one has run out. gRPC is spoken by `streams` (docs/decisions/0007-all-grpc-on-streams.md).
"""

import asyncio
import logging
import random
import ssl
from typing import NamedTuple, TypeVar

import msgspec
from google.protobuf.message import DecodeError, Message

from registry.etcd.v1 import etcd_pb2 as pb
from registry.store import Compacted, LeaseGone, StoreAway, StoreError, StoreRefused
from runtime.grpc_wire.call import Call, StreamHandler
from runtime.grpc_wire.channel import Address, Channel, Tls, ask
from runtime.grpc_wire.headerblocks import Headers
from runtime.grpc_wire.status import (
    CANCELLED,
    DEADLINE_EXCEEDED,
    INTERNAL,
    NAMES,
    OUT_OF_RANGE,
    PERMISSION_DENIED,
    RESOURCE_EXHAUSTED,
    UNAUTHENTICATED,
    UNAVAILABLE,
    StreamEnded,
)

log = logging.getLogger(__name__)

ATTEMPTS = 3  # of an idempotent call
BACK_OFF = 0.05  # seconds before the second attempt; doubles, jittered

_Answer = TypeVar("_Answer", bound=Message)


class EtcdSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How etcd is reached."""

    endpoints: tuple[str, ...] = ("127.0.0.1:2379",)  # host:port of each member
    user: str = ""  # with password: etcd's own users; empty: no authentication
    password: str = ""
    ca: str = ""  # path of the PEM that signs etcd's certificate; empty: no TLS, unless a client certificate is given
    cert: str = ""  # path of our client certificate, PEM
    key: str = ""  # path of its key, PEM
    server_name: str = ""  # the name in etcd's certificate: needed with several addresses
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

_AWAY = frozenset({UNAVAILABLE, DEADLINE_EXCEEDED, CANCELLED})


class EtcdClient:
    """Calls to the cluster. Connects on first use, in the loop that uses it."""

    def __init__(self, settings: EtcdSettings) -> None:
        self.settings = settings
        self.where = ", ".join(settings.endpoints)
        self._channel: Channel | None = None
        self._closed = False
        self._token = b""
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
                if attempt == attempts:
                    raise
            await asyncio.sleep(BACK_OFF * 2**attempt * random.uniform(0.5, 1.0))
        raise AssertionError("unreachable")

    async def _attempt(self, method: Method, request: Message) -> Message:
        for renewed in (False, True):
            token = await self._metadata()
            try:
                return await self._ask(method, request, token)
            except StreamEnded as how:
                # A call that was refused for its token has not run, so it may be repeated whatever it is.
                if renewed or not self._stale_token(how):
                    raise self.error(how) from None
        raise AssertionError("unreachable")

    async def _ask(self, method: Method, request: Message, token: Headers) -> Message:
        try:
            answer = await ask(self._open(), method.path, request, self.settings.timeout, token)
            return method.response.FromString(answer)
        except DecodeError:
            raise StreamEnded(INTERNAL, f"the answer is no {method.response.__name__}") from None
        except StreamEnded as how:
            if how.status == DEADLINE_EXCEEDED:
                self.doubt()
            raise

    async def stream(self, method: Method, listener: StreamHandler, more: Headers) -> Call:
        """Open a bidi stream. How it ends, `stream_error` puts into words. StoreAway: nobody to open it with."""
        token = await self._metadata()
        try:
            return await self._open().call(method.path, listener, [*token, *more])
        except OSError as error:
            raise self._away(str(error)) from None

    def doubt(self) -> None:
        """This member does not answer: the next call goes to the next one."""
        if self._channel is not None:
            self._channel.renew()

    # Authentication

    async def _metadata(self) -> Headers:
        """What carries our token; authenticates first if there is none."""
        if not self.settings.user:
            return []
        async with self._authenticating:
            if not self._token:
                await self._authenticate()
            return [(b"token", self._token)]

    async def _authenticate(self) -> None:
        request = pb.AuthenticateRequest(name=self.settings.user, password=self.settings.password)
        try:
            got = await self._ask(AUTHENTICATE, request, [])
        except StreamEnded as how:
            raise self.error(how) from None
        assert isinstance(got, pb.AuthenticateResponse)
        self._token = got.token.encode()

    def _stale_token(self, how: StreamEnded) -> bool:
        """Whether a new token may cure this; forgets the old one if so."""
        stale = how.status == UNAUTHENTICATED or "auth: revision in header is old" in how.args[0]
        if stale and self.settings.user:
            self._token = b""
            return True
        return False

    # Errors

    def error(self, how: StreamEnded) -> StoreError:
        """What a call's status means, in the store port's words, with the address and the cure."""
        status, details = how.status, how.args[0]
        name = NAMES[status] if status < len(NAMES) else f"status {status}"
        if "lease not found" in details:
            return LeaseGone(f"etcd at {self.where}: {details}")
        if status == OUT_OF_RANGE and "compacted" in details:
            return Compacted(0)
        if status in _AWAY:
            return self._away(details or name)
        if status == RESOURCE_EXHAUSTED:
            # Waiting helps as soon as somebody has made room, and a gateway must not end for a full disk.
            return StoreAway(f"etcd at {self.where} is full or overloaded ({details}); compact and defragment it")
        return StoreRefused(f"etcd at {self.where} refused: {details or name}{_cure(status, details)}")

    def stream_error(self, how: StreamEnded) -> StoreError:
        """The same for a stream: one that a new token cures is to be opened again."""
        if self._stale_token(how):
            return StoreAway(f"etcd at {self.where} wants a new token")
        return self.error(how)

    def _away(self, why: str) -> StoreAway:
        return StoreAway(f"etcd at {self.where} does not answer ({why}); is it running there?")

    # The channel

    def _open(self) -> Channel:
        if self._closed:
            raise StoreAway(f"the client of etcd at {self.where} is closed")
        if self._channel is None:
            self._channel = Channel(self._find, _tls(self.settings))
        return self._channel

    async def _find(self) -> list[Address]:
        """Where the members are now: names are looked up anew for each connection."""
        found = [address for one in self.settings.endpoints for address in await _resolve(one)]
        if not found:
            raise OSError("no name resolves; are they spelt right?")
        return list(dict.fromkeys(found))

    def close(self) -> None:
        """Close for good; what is under way ends with StoreAway."""
        self._closed = True
        if self._channel is not None:
            self._channel.close()


async def _resolve(endpoint: str) -> list[Address]:
    host, _, port = endpoint.rpartition(":")
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host.strip("[]"), int(port), proto=6)
    except (OSError, ValueError) as error:
        log.warning("etcd endpoint %s: %s", endpoint, error)
        return []
    return [(str(info[4][0]), int(port)) for info in found]


def _tls(settings: EtcdSettings) -> Tls | None:
    if not (settings.ca or settings.cert):
        return None
    for path in (settings.ca, settings.cert, settings.key):
        _judge_readable(path)
    try:
        context = ssl.create_default_context(cafile=settings.ca or None)
        context.set_alpn_protocols(["h2"])
        if settings.cert:
            context.load_cert_chain(settings.cert, settings.key or None)
    except ssl.SSLError as error:
        raise StoreRefused(f"etcd's TLS: {settings.ca} {settings.cert} {settings.key}: {error}") from None
    return Tls(context, settings.server_name)


def _judge_readable(path: str) -> None:
    if path:
        try:
            with open(path, "rb"):
                return
        except OSError as error:
            raise StoreRefused(f"cannot read {path} for etcd's TLS: {error.strerror}") from None


def _cure(status: int, details: str) -> str:
    if "authentication is not enabled" in details:
        return "; this etcd has no users: leave user and password out of the configuration"
    if "user name is empty" in details:
        return "; this etcd wants a user and password"
    if "authentication failed" in details:
        return "; check user and password"
    if status == PERMISSION_DENIED:
        return "; grant the user readwrite on the prefix /homing/"
    return ""

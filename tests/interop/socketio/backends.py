"""A backend for the clients' tests: of a Homing cluster, or of the reference server. A test cannot tell which."""

import asyncio
from typing import Any, NamedTuple, Protocol

import msgpack
from redis.asyncio import Redis

from homing.v1 import router_pb2 as pb
from tests.interop.socketio.driven import Driven, pack, unpack
from tests.support.calls import push
from tests.support.cluster import Cluster

ARGUMENTS = "application/vnd.homing.args+json"
BINARY_ARGUMENTS = "application/vnd.homing.args+msgpack"
BINARY = "application/octet-stream"


class Event(NamedTuple):
    """What a client sent, as a backend reads it."""

    session: str
    namespace: str
    name: str
    args: list[Any]
    ack: str  # "": none is wanted


class Outcome(NamedTuple):
    """What became of a push to one session."""

    name: str
    args: list[Any]  # the ack's


class Backend(Protocol):
    async def event(self, user: str) -> Event:
        """The next event of this user."""

    async def reply(self, event: Event, *args: Any) -> None: ...

    async def push(self, name: str, *args: Any, ack: bool = False, **target: str) -> Outcome:
        """Push to one session. `target`: user, file or session, and namespace."""

    async def disconnect(self, user: str, *, reconnect: bool) -> None: ...


class HomingBackend:
    """A `Backend` of a cluster: its router, and the stream of records."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._router = cluster.router()
        self._read_to: dict[str, str] = {}  # the last record of each user

    async def event(self, user: str) -> Event:
        async with Redis.from_url(f"redis://{self._cluster.redis}") as redis, asyncio.timeout(10):
            while True:
                read = await redis.xread({self._cluster.stream: self._read_to.get(user, "0")}, block=500)
                for id, fields in read[0][1] if read else ():
                    self._read_to[user] = id
                    record = {key.decode(): value for key, value in fields.items()}
                    if _is_event(record, user):
                        return _as_event(record)

    async def reply(self, event: Event, *args: Any) -> None:
        data, content_type = _encode(args)
        request = pb.ReplyRequest(session=int(event.session), ack=int(event.ack), data=data, content_type=content_type)
        answer = await self._router.Reply(request)
        assert pb.Delivery.Outcome.Name(answer.outcome) in ("WRITTEN", "QUEUED"), answer

    async def push(self, name: str, *args: Any, ack: bool = False, **target: Any) -> Outcome:
        report = await self.push_for_report(name, *args, ack=ack, **target)
        assert sum(report.counts.values()) == 1, report
        (delivery,) = report.deliveries
        acked = _decode(delivery.ack_data, delivery.ack_content_type) if delivery.ack_data else []
        return Outcome(pb.Delivery.Outcome.Name(delivery.outcome), acked)

    async def push_for_report(self, name: str, *args: Any, ack: bool = False, **target: Any) -> pb.PushReport:
        """As `push`, to any number of sessions."""
        data, content_type = _encode(args)
        if "session" in target:
            target["session"] = int(target["session"])
        request = push(name, data, content_type=content_type, **target)
        if ack:
            request.ack_timeout.seconds = 10
        return (await self._router.Push(request)).report

    async def disconnect(self, user: str, *, reconnect: bool) -> None:
        request = pb.DisconnectRequest(target=pb.Target(user=user), reason="test", allow_reconnect=reconnect)
        assert (await self._router.Disconnect(request)).sessions == 1


class ReferenceBackend:
    """A `Backend` of the reference server, which a driver runs."""

    def __init__(self, driven: Driven) -> None:
        self._driven = driven

    async def event(self, user: str) -> Event:
        came = await self._driven.next("event", user=user)
        return Event(came["session"], came["namespace"], came["name"], came["args"], came["ack"])

    async def reply(self, event: Event, *args: Any) -> None:
        await self._driven.ask("reply", "answer", ack=event.ack, args=args)

    async def push(self, name: str, *args: Any, ack: bool = False, **target: str) -> Outcome:
        values = {"namespace": "/", **target}
        answer = await self._driven.ask("push", "answer", name=name, args=args, ack=ack, **values)
        return Outcome(answer["outcome"], answer.get("args", []))

    async def disconnect(self, user: str, *, reconnect: bool) -> None:
        await self._driven.ask("disconnect", "answer", user=user, namespace="/", reconnect=reconnect)


def _is_event(record: dict[str, bytes], user: str) -> bool:
    return record["X-Uid"] == user.encode() and record["X-Event"] == b"message" and "X-Inner" not in record


def _as_event(record: dict[str, bytes]) -> Event:
    session, namespace, name, ack = (
        record.get(key, b"").decode() for key in ("X-ID", "X-Namespace", "X-Name", "X-Ack")
    )
    return Event(session, namespace, name, _decode(record["value"], record["Content-Type"].decode()), ack)


def _encode(args: tuple[Any, ...]) -> tuple[bytes, str]:
    """Arguments as a backend sends them, and their content type."""
    if len(args) == 1:
        return (args[0], BINARY) if isinstance(args[0], bytes) else (pack(args[0]).encode(), "")
    return pack(args).encode(), ARGUMENTS


def _decode(data: bytes, content_type: str) -> list[Any]:
    """Arguments as a backend receives them; a message of Engine.IO is one."""
    if content_type == BINARY:
        return [data]
    if content_type.startswith("text/plain"):
        return [data.decode()]
    if content_type == BINARY_ARGUMENTS:
        return list(msgpack.unpackb(data))
    return list(unpack(data)) if content_type == ARGUMENTS else [unpack(data)]

"""Core: Socket.IO, protocol 5: what its packets are as values, and the reader of the default parser.

The protocol: https://github.com/socketio/socket.io-protocol (v5). A packet is text: its type, the number of its binary
attachments, the namespace, the number of its ack, and JSON; the attachments follow as binary messages. What the msgpack
parser sends is read by `gateway.wire.socketio_msgpack` into the same values.
"""

import re
from typing import Any, NamedTuple, Protocol, cast

import msgspec
from msgspec import Raw

CONNECT, DISCONNECT, EVENT, ACK, CONNECT_ERROR, BINARY_EVENT, BINARY_ACK = range(7)

MAX_ATTACHMENTS = 10  # of one packet (docs/promises.md, row 57)
MAX_NAMESPACE = 256  # bytes
ROOT = "/"

ARGUMENTS = "application/vnd.homing.args+json"  # a JSON array of the arguments of an event or an ack
BINARY_ARGUMENTS = "application/vnd.homing.args+msgpack"  # a msgpack array of them, where some are binary
ONE_BINARY = "application/octet-stream"  # one argument, and that is binary

RESERVED = frozenset(("connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"))
"""Names of Socket.IO's own events, which no packet may carry."""

_match_header = re.compile(rb"([0-6])(?:([0-9]{1,9})-)?(?:(/[^,]{0,255})(?:,|\Z))?([0-9]{1,16})?").match
_decode_arguments = msgspec.json.Decoder(list[Raw]).decode
_decode_name = msgspec.json.Decoder(str | int | float).decode
_decode_object = msgspec.json.Decoder(dict[str, Any]).decode


class Connect(NamedTuple):
    namespace: str
    auth: dict[str, Any]


class Disconnect(NamedTuple):
    namespace: str


class Emitted(NamedTuple):
    """An event that a client has sent. `id`: the number of the ack that it wants; None: none."""

    namespace: str
    event: str
    data: bytes
    content_type: str
    id: int | None


class Acknowledged(NamedTuple):
    """A client's ack. Of one argument `data` is that argument."""

    namespace: str
    id: int
    data: bytes
    content_type: str


ClientPacket = Connect | Disconnect | Emitted | Acknowledged


class MalformedPacket(Exception):
    """What a client sent is no packet of the protocol; its connection ends."""


class PacketReader(Protocol):
    """Reads what one client sends. One for a connection: a packet may have several messages."""

    def read(self, text: bool, message: bytes) -> ClientPacket | None:
        """The packet that this message completes; None: more messages follow. Raises MalformedPacket."""
        ...

    @property
    def incomplete(self) -> bool:
        """Whether attachments are awaited."""
        ...


class DefaultReader:
    """The reader of socket.io-parser's packets (a PacketReader)."""

    __slots__ = ("_attachments", "_max_bytes", "_unfinished")

    def __init__(self, max_bytes: int) -> None:
        """`max_bytes`: of one packet with its attachments."""
        self._max_bytes = max_bytes
        self._unfinished: _Unfinished | None = None
        self._attachments: list[bytes] = []

    @property
    def incomplete(self) -> bool:
        return self._unfinished is not None

    def read(self, text: bool, message: bytes) -> ClientPacket | None:
        if text:
            if self._unfinished is not None:
                raise MalformedPacket("a packet before the last one's attachments")
            return self._read_text(message)
        return self._read_attachment(message)

    def _read_text(self, message: bytes) -> ClientPacket | None:
        header = _match_header(message)
        if header is None:
            raise MalformedPacket("no packet")
        type, attachments, namespace, id = header.groups()
        unfinished = _Unfinished(
            int(type),
            namespace.decode() if namespace else ROOT,
            None if id is None else int(id),
            message[header.end() :],
        )
        count = _check_attachments(unfinished.type, attachments)
        if not count:
            return _finish(unfinished, [])
        unfinished.missing = count
        self._unfinished = unfinished
        return None

    def _read_attachment(self, message: bytes) -> ClientPacket | None:
        unfinished = self._unfinished
        if unfinished is None:
            raise MalformedPacket("binary data that no packet has announced")
        self._attachments.append(message)
        if sum(map(len, self._attachments)) + len(unfinished.json) > self._max_bytes:
            raise MalformedPacket(f"a packet with more than {self._max_bytes} bytes")
        if len(self._attachments) < unfinished.missing:
            return None
        attachments, self._attachments, self._unfinished = self._attachments, [], None
        return _finish(unfinished, attachments)


class _Unfinished:
    """A packet without its attachments."""

    __slots__ = ("id", "json", "missing", "namespace", "type")

    def __init__(self, type: int, namespace: str, id: int | None, json: bytes) -> None:
        self.type = type
        self.namespace = namespace
        self.id = id
        self.json = json
        self.missing = 0  # attachments


def _check_attachments(type: int, announced: bytes | None) -> int:
    if (announced is not None) != (type in (BINARY_EVENT, BINARY_ACK)):
        raise MalformedPacket("attachments belong to binary events and binary acks")
    count = int(announced or b"0")
    if count > MAX_ATTACHMENTS:
        raise MalformedPacket(f"more than {MAX_ATTACHMENTS} attachments")
    return count


def _finish(packet: _Unfinished, attachments: list[bytes]) -> ClientPacket:
    try:
        return _packet(packet, attachments)
    except (msgspec.MsgspecError, ValueError, RecursionError, OverflowError) as error:
        raise MalformedPacket(f"no packet: {error}") from None


def _packet(packet: _Unfinished, attachments: list[bytes]) -> ClientPacket:
    if packet.type == CONNECT:
        return Connect(packet.namespace, _decode_object(packet.json) if packet.json else {})
    if packet.type == DISCONNECT and not packet.json:
        return Disconnect(packet.namespace)
    if packet.type in (EVENT, BINARY_EVENT):
        name, *arguments = _decode_arguments(packet.json) or [Raw(b'""')]
        event = check_event(_decode_name(name))
        data, content_type = _carry(arguments, attachments)
        return Emitted(packet.namespace, event, data, content_type, packet.id)
    if packet.type in (ACK, BINARY_ACK) and packet.id is not None:
        data, content_type = _carry(_decode_arguments(packet.json), attachments)
        return Acknowledged(packet.namespace, packet.id, *_unwrap(data, content_type))
    raise MalformedPacket("a packet that clients do not send")


def check_event(name: object) -> str:
    """An event's name; raises MalformedPacket."""
    text = name if isinstance(name, str) else str(name)
    if not text or text in RESERVED:
        raise MalformedPacket("an event without a name, or with one of Socket.IO's own")
    return text


def _carry(arguments: list[Raw], attachments: list[bytes]) -> tuple[bytes, str]:
    """The arguments as they are passed on: their bytes untouched where none is binary."""
    if not attachments:
        return b"[%b]" % b",".join(map(bytes, arguments)), ARGUMENTS
    used: list[int] = []
    values = [_fill(msgspec.json.decode(argument), attachments, used) for argument in arguments]
    if sorted(used) != list(range(len(attachments))):
        raise MalformedPacket("attachments and their places do not agree")
    return carry_values(values)


def _fill(value: Any, attachments: list[bytes], used: list[int]) -> Any:  # noqa: ANN401 - any JSON
    """The value with its placeholders replaced."""
    if isinstance(value, list):
        return [_fill(item, attachments, used) for item in value]
    if not isinstance(value, dict):
        return value
    if value.get("_placeholder") is True:
        number = value.get("num")
        if type(number) is not int or not 0 <= number < len(attachments):
            raise MalformedPacket("a placeholder for no attachment")
        used.append(number)
        return attachments[number]
    return {key: _fill(item, attachments, used) for key, item in value.items()}


def carry_values(values: list[Any]) -> tuple[bytes, str]:
    """Decoded arguments as they are passed on, and their content type."""
    if len(values) == 1 and isinstance(values[0], bytes):
        return values[0], ONE_BINARY
    if any(map(_has_binary, values)):
        return msgspec.msgpack.encode(values), BINARY_ARGUMENTS
    return msgspec.json.encode(values), ARGUMENTS


def _has_binary(value: object) -> bool:
    if isinstance(value, dict):
        return any(map(_has_binary, cast("dict[object, object]", value).values()))
    if isinstance(value, list):
        return any(map(_has_binary, cast("list[object]", value)))
    return isinstance(value, bytes)


def _unwrap(data: bytes, content_type: str) -> tuple[bytes, str]:
    """An ack of one JSON argument is that argument."""
    if content_type == ARGUMENTS:
        arguments = _decode_arguments(data)
        if len(arguments) == 1:
            return bytes(arguments[0]), ""
    return data, content_type


def split_arguments(data: bytes) -> list[Raw] | None:
    """The JSON arguments in a payload of the type ARGUMENTS; None: it is no JSON array."""
    try:
        return _decode_arguments(data)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None

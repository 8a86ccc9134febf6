"""Core: what goes down to a Socket.IO client, one codec for a namespace and a parser (`gateway.wire.ports.Codec`).

A push is an event with one argument, spliced into the packet as it is; of the type `ARGUMENTS` it is an array of them;
of any other type it is one binary argument. The gateway's own answers are acks of the client's events.
"""

import json
from collections.abc import Sequence
from functools import cache
from typing import Any

import msgspec

from gateway.wire.socketio import (
    ACK,
    ARGUMENTS,
    BINARY_ACK,
    BINARY_EVENT,
    CONNECT,
    CONNECT_ERROR,
    DISCONNECT,
    EVENT,
    ROOT,
    split_arguments,
)
from gateway.wire.values import NO_MESSAGES, ErrorReply, Hello, Message, Messages, PushedMessage

NAME = "socket.io"
JOINED, LEFT, ERROR = "homing:joined", "homing:left", "homing:error"  # events of the gateway's own

_PLACEHOLDER = b'{"_placeholder":true,"num":0}'
_encode = msgspec.json.encode


class SocketIoCodec:
    """Both parsers: how a packet with some arguments is written is theirs."""

    name = NAME
    acks = True

    def __init__(self, namespace: str) -> None:
        self.namespace = namespace

    def packet(self, type: int, arguments: Sequence[bytes], id: int | None) -> Messages:
        """An EVENT or ACK whose arguments are JSON."""
        raise NotImplementedError

    def binary_packet(self, type: int, event: str, argument: bytes, id: int | None) -> Messages:
        """An EVENT or ACK with one binary argument; `event` "" in an ACK."""
        raise NotImplementedError

    def control(self, type: int, data: object = None) -> Messages:
        """A CONNECT, DISCONNECT or CONNECT_ERROR."""
        raise NotImplementedError

    def push(self, pushed: PushedMessage) -> Messages:
        name = _encode(pushed.event)
        arguments = _arguments(pushed.data, pushed.content_type)
        if arguments is None:
            return self.binary_packet(EVENT, pushed.event, pushed.data, pushed.ack)
        return self.packet(EVENT, (name, *arguments), pushed.ack)

    def reply(self, id: int, data: bytes, content_type: str) -> Messages:
        arguments = _arguments(data, content_type) if data else ()
        if arguments is None:
            return self.binary_packet(ACK, "", data, id)
        return self.packet(ACK, arguments, id)

    def hello(self, hello: Hello) -> Messages:
        return self.control(CONNECT, {"sid": str(hello.session)})

    def refused(self, code: str, message: str) -> Messages:
        """The answer to a CONNECT that is not admitted."""
        return self.control(CONNECT_ERROR, {"message": message, "data": {"code": code}})

    def invalid_namespace(self) -> Messages:
        """The answer to a CONNECT to a namespace that is not there, in the reference server's words."""
        return self.control(CONNECT_ERROR, {"message": "Invalid namespace"})

    def disconnected(self) -> Messages:
        """The session is over; the client stays away."""
        return self.control(DISCONNECT)

    def ok(self, id: int) -> Messages:
        return self.packet(ACK, (b'{"ok":true}',), id)

    def error(self, error: ErrorReply) -> Messages:
        """The ack of the client's event, where it wants one; else an event of our own."""
        facts: dict[str, Any] = {"code": error.code, "message": error.message}
        facts |= {"field": error.field} if error.field else {}
        facts |= {"retry_ms": error.retry_ms} if error.retry_ms is not None else {}
        if error.id is not None:
            return self.packet(ACK, (_encode({"error": facts}),), error.id)
        return self.packet(EVENT, (_encode(ERROR), _encode(facts)), None)

    def joined(self, file: str) -> Messages:
        return self.packet(EVENT, (_encode(JOINED), _encode(file)), None)

    def left(self, file: str) -> Messages:
        return self.packet(EVENT, (_encode(LEFT), _encode(file)), None)

    def pong(self, id: int | None) -> Messages:
        return NO_MESSAGES

    def reconnect(self, after_ms: int, reason: str) -> Messages:
        return NO_MESSAGES  # the transport is closed: after a DISCONNECT the client would stay away


def _arguments(data: bytes, content_type: str) -> Sequence[bytes] | None:
    """The JSON arguments that a payload makes; None: it is one binary argument."""
    if not content_type:
        return (data,)
    found = split_arguments(data) if content_type == ARGUMENTS else None
    return None if found is None else tuple(map(bytes, found))


class DefaultCodec(SocketIoCodec):
    """socket.io-parser."""

    def __init__(self, namespace: str) -> None:
        super().__init__(namespace)
        self._prefix = b"" if namespace == ROOT else namespace.encode() + b","

    def _head(self, type: int, id: int | None, attachments: bytes = b"") -> bytes:
        return b"%d%b%b%b" % (type, attachments, self._prefix, b"" if id is None else b"%d" % id)

    def packet(self, type: int, arguments: Sequence[bytes], id: int | None) -> Messages:
        return (Message(True, (self._head(type, id), b"[", b",".join(arguments), b"]")),)

    def binary_packet(self, type: int, event: str, argument: bytes, id: int | None) -> Messages:
        name = _encode(event) + b"," if type == EVENT else b""
        head = self._head(BINARY_EVENT if type == EVENT else BINARY_ACK, id, b"1-")
        return Message(True, (head, b"[", name, _PLACEHOLDER, b"]")), Message(False, (argument,))

    def control(self, type: int, data: object = None) -> Messages:
        return (Message(True, (self._head(type, None), b"" if data is None else _encode(data))),)


class MsgpackCodec(SocketIoCodec):
    """socket.io-msgpack-parser: JSON is decoded and written anew, once for all receivers of a push."""

    def packet(self, type: int, arguments: Sequence[bytes], id: int | None) -> Messages:
        return self._message(type, [_decode(argument) for argument in arguments], id)

    def binary_packet(self, type: int, event: str, argument: bytes, id: int | None) -> Messages:
        return self._message(type, [event, argument] if type == EVENT else [argument], id)

    def control(self, type: int, data: object = None) -> Messages:
        return self._message(type, data, None)

    def _message(self, type: int, data: object, id: int | None) -> Messages:
        packet: dict[str, object] = {"type": type, "nsp": self.namespace}
        packet |= {} if data is None else {"data": data}
        packet |= {} if id is None else {"id": id}
        return (Message(False, (msgspec.msgpack.encode(packet),)),)


def _decode(argument: bytes) -> object:
    """JSON as msgpack can carry it: numbers beyond 64 bits become floats."""
    try:
        value = msgspec.json.decode(argument)
        msgspec.msgpack.encode(value)
    except (msgspec.MsgspecError, ValueError, OverflowError):
        return _decode_leniently(argument)
    return value


def _decode_leniently(argument: bytes) -> object:
    """Lone surrogates, which no msgpack string may have, become U+FFFD; numbers of any size become floats."""
    text = json.dumps(json.loads(argument, parse_int=_number), ensure_ascii=False)
    return msgspec.json.decode(text.encode("utf-8", "replace"))


def _number(digits: str) -> int | float:
    number = int(digits) if len(digits) < 20 else 2**64
    return number if -(2**63) <= number < 2**64 else float(digits)


@cache
def default_codec(namespace: str) -> DefaultCodec:
    """One for a namespace, so that pushes are shared. Namespaces are few: those of the configuration."""
    return DefaultCodec(namespace)


@cache
def msgpack_codec(namespace: str) -> MsgpackCodec:
    """See `default_codec`."""
    return MsgpackCodec(namespace)

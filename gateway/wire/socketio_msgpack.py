"""Core: the msgpack parser of Socket.IO (socket.io-msgpack-parser): a packet is one message, a map.

Its JavaScript encoder sends CONNECT as JSON text, others send it as msgpack; every decoder takes msgpack, so that is
what goes down.
"""

from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from gateway.wire.socketio import (
    ACK,
    CONNECT,
    DISCONNECT,
    EVENT,
    ROOT,
    Acknowledged,
    ClientPacket,
    Connect,
    Disconnect,
    Emitted,
    MalformedPacket,
    carry_values,
    check_event,
)

UNDEFINED = 0  # extension type by which notepack.io writes `undefined`


class _PacketUp(Struct):
    type: int
    nsp: str = ROOT
    data: Raw | UnsetType = UNSET
    id: int | None = None


def _decode_extension(code: int, _data: memoryview) -> None:
    if code != UNDEFINED:
        raise ValueError(f"extension type {code}")


_decode_text = msgspec.json.Decoder(_PacketUp).decode
_decode = msgspec.msgpack.Decoder(_PacketUp).decode
_text_values = msgspec.json.Decoder().decode
_values = msgspec.msgpack.Decoder(ext_hook=_decode_extension).decode


class MsgpackReader:
    """The reader of one client's packets (a `gateway.wire.socketio.PacketReader`)."""

    __slots__ = ()

    incomplete = False

    def read(self, text: bool, message: bytes) -> ClientPacket | None:
        try:
            packet = (_decode_text if text else _decode)(message)
            return _read(packet, _text_values if text else _values)
        except (msgspec.MsgspecError, ValueError, RecursionError, OverflowError, TypeError) as error:
            raise MalformedPacket(f"no packet: {error}") from None


def _read(packet: _PacketUp, decode: Callable[[Raw], Any]) -> ClientPacket:
    data = None if packet.data is UNSET else decode(packet.data)
    if not packet.nsp.startswith("/"):
        raise MalformedPacket("a namespace begins with /")
    if packet.type == CONNECT and (data is None or isinstance(data, dict)):
        return Connect(packet.nsp, data or {})
    if packet.type == DISCONNECT:
        return Disconnect(packet.nsp)
    if packet.type == EVENT and isinstance(data, list) and data and isinstance(data[0], str | int | float):
        return Emitted(packet.nsp, check_event(data[0]), *carry_values(data[1:]), packet.id)
    if packet.type == ACK and isinstance(data, list) and packet.id is not None:
        return Acknowledged(packet.nsp, packet.id, *_ack_data(data))
    raise MalformedPacket("a packet that clients do not send")


def _ack_data(arguments: list[Any]) -> tuple[bytes, str]:
    if len(arguments) == 1 and not isinstance(arguments[0], bytes):
        data, content_type = carry_values(arguments)
        if content_type.endswith("+json"):
            return msgspec.json.encode(arguments[0]), ""
        return data, content_type
    return carry_values(arguments)

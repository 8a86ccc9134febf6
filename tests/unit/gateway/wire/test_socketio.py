"""Socket.IO's packets as values, by both parsers, and what goes down."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.wire.socketio import (
    ARGUMENTS,
    BINARY_ARGUMENTS,
    MAX_ATTACHMENTS,
    ONE_BINARY,
    Acknowledged,
    Connect,
    DefaultReader,
    Disconnect,
    Emitted,
    MalformedPacket,
    PacketReader,
)
from gateway.wire.socketio_codec import DefaultCodec, MsgpackCodec, SocketIoCodec, default_codec, msgpack_codec
from gateway.wire.socketio_msgpack import MsgpackReader
from gateway.wire.values import ErrorReply, Hello, Message, Messages, PushedMessage

pack = msgspec.msgpack.encode
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(st.characters(codec="utf-8")),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner, max_size=3)
    ),
    max_leaves=8,
)


def read(*messages: str | bytes, reader: PacketReader | None = None) -> object:
    reader = reader or DefaultReader(1000)
    found = None
    for message in messages:
        text = isinstance(message, str)
        found = reader.read(text, message.encode() if isinstance(message, str) else message)
    return found


@pytest.mark.parametrize(
    ("packet", "expected"),
    [
        ("0", Connect("/", {})),
        ('0/chat,{"token":"t"}', Connect("/chat", {"token": "t"})),
        ("0/chat", Connect("/chat", {})),
        ("1", Disconnect("/")),
        ("1/chat,", Disconnect("/chat")),
        ('2["e"]', Emitted("/", "e", b"[]", ARGUMENTS, None)),
        ('2/chat,12["e",1, {"a":"b"}]', Emitted("/chat", "e", b'[1,{"a":"b"}]', ARGUMENTS, 12)),
        ("2[7]", Emitted("/", "7", b"[]", ARGUMENTS, None)),
        ("35[]", Acknowledged("/", 5, b"[]", ARGUMENTS)),
        ('35[{"a":1}]', Acknowledged("/", 5, b'{"a":1}', "")),
        ("35[1,2]", Acknowledged("/", 5, b"[1,2]", ARGUMENTS)),
    ],
)
def test_packets_of_the_default_parser(packet: str, expected: object) -> None:
    assert read(packet) == expected


PLACE = '{"_placeholder":true,"num":%d}'


def test_attachments_follow_their_packet() -> None:
    reader = DefaultReader(1000)
    assert read(f'51-7["e",{PLACE % 0}]', reader=reader) is None
    assert reader.incomplete
    assert read(b"abc", reader=reader) == Emitted("/", "e", b"abc", ONE_BINARY, 7)
    assert not reader.incomplete
    both = read(f'52-["e",{{"x":[{PLACE % 1}]}},{PLACE % 0},1]', b"a", b"b")
    assert both == Emitted("/", "e", pack([{"x": [b"b"]}, b"a", 1]), BINARY_ARGUMENTS, None)
    assert read(f"61-3[{PLACE % 0}]", b"z") == Acknowledged("/", 3, b"z", ONE_BINARY)


@pytest.mark.parametrize(
    "messages",
    [
        ("",),
        ("x",),
        ("7",),
        ("2",),
        ("2{}",),
        ("2[]",),
        ("2[null]",),
        ('2["connect"]',),
        ('2[""]',),
        ("4{}",),
        ("1{}",),
        ("3[]",),
        ("35{}",),
        ("0[1]",),
        ('21-["e"]',),
        ('5["e"]',),
        (f'5{MAX_ATTACHMENTS + 1}-["e"]',),
        (b"binary",),
        (f'51-["e",{PLACE % 0}]', '2["e"]'),
        (f'51-["e",{PLACE % 1}]', b"a"),
        ('51-["e",{"_placeholder":true,"num":"0"}]', b"a"),
        ('51-["e"]', b"a"),
        (f'51-["e",{PLACE % 0},{PLACE % 0}]', b"a"),
        (f'51-["e",{PLACE % 0}]', b"a" * 1000),
        ('2["e",' + "[" * 100_000,),
    ],
)
def test_what_is_no_packet(messages: tuple[str | bytes, ...]) -> None:
    with pytest.raises(MalformedPacket):
        read(*messages)


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ('{"type":0,"nsp":"/","data":{"token":"t"}}', Connect("/", {"token": "t"})),
        (pack({"type": 0, "nsp": "/chat"}), Connect("/chat", {})),
        (pack({"type": 1, "nsp": "/"}), Disconnect("/")),
        (
            pack({"type": 2, "nsp": "/", "data": ["e", {"a": 1}], "id": 4}),
            Emitted("/", "e", b'[{"a":1}]', ARGUMENTS, 4),
        ),
        (pack({"type": 2, "data": ["e", b"x"]}), Emitted("/", "e", b"x", ONE_BINARY, None)),
        (pack({"type": 2, "data": ["e", [b"x"]]}), Emitted("/", "e", pack([[b"x"]]), BINARY_ARGUMENTS, None)),
        (pack({"type": 2, "data": ["e", {"k": b"x"}]}), Emitted("/", "e", pack([{"k": b"x"}]), BINARY_ARGUMENTS, None)),
        (
            pack({"type": 2, "data": ["e", msgspec.msgpack.Ext(0, b"\0")]}),
            Emitted("/", "e", b"[null]", ARGUMENTS, None),
        ),
        (pack({"type": 3, "data": [{"a": 1}], "id": 9}), Acknowledged("/", 9, b'{"a":1}', "")),
        (pack({"type": 3, "data": [], "id": 9}), Acknowledged("/", 9, b"[]", ARGUMENTS)),
        (pack({"type": 3, "data": [b"x"], "id": 9}), Acknowledged("/", 9, b"x", ONE_BINARY)),
        (pack({"type": 3, "data": [[b"x"]], "id": 9}), Acknowledged("/", 9, pack([[b"x"]]), BINARY_ARGUMENTS)),
    ],
)
def test_packets_of_the_msgpack_parser(message: str | bytes, expected: object) -> None:
    assert read(message, reader=MsgpackReader()) == expected


@pytest.mark.parametrize(
    "packet",
    [
        b"\xc1",
        pack({"nsp": "/"}),
        pack({"type": 2, "nsp": "chat", "data": ["e"]}),
        pack({"type": 0, "data": [1]}),
        pack({"type": 2, "data": []}),
        pack({"type": 2, "data": ["disconnect"]}),
        pack({"type": 3, "data": []}),
        pack({"type": 4, "data": {}}),
        pack({"type": 2, "data": ["e", msgspec.msgpack.Ext(9, b"\0")]}),
        b"{",
    ],
)
def test_what_is_no_msgpack_packet(packet: bytes) -> None:
    with pytest.raises(MalformedPacket):
        read(packet, reader=MsgpackReader())


@given(st.binary(), st.booleans(), st.booleans())
def test_readers_take_anything_or_say_no(data: bytes, text: bool, msgpack: bool) -> None:
    reader = MsgpackReader() if msgpack else DefaultReader(1000)
    message = data.decode(errors="replace") if text else data
    try:
        read(message, reader=reader)
    except MalformedPacket:
        return


# What goes down -----------------------------------------------------------------------------------------------------

ROOT, CHAT = default_codec("/"), default_codec("/chat")


def texts(messages: Messages) -> list[str | bytes]:
    return [b"".join(m.parts).decode() if m.text else b"".join(m.parts) for m in messages]


def pushed(data: bytes, content_type: str = "", ack: int | None = None) -> PushedMessage:
    return PushedMessage("e", data, content_type, "p", "", ack)


def test_a_push_is_an_event() -> None:
    assert texts(ROOT.push(pushed(b'{"a":1}'))) == ['2["e",{"a":1}]']
    assert texts(CHAT.push(pushed(b"1", ack=7))) == ['2/chat,7["e",1]']
    assert texts(ROOT.push(pushed(b"[1, 2]", ARGUMENTS))) == ['2["e",1,2]']
    assert texts(ROOT.push(pushed(b"[]", ARGUMENTS))) == ['2["e"]']
    assert texts(ROOT.push(pushed(b"raw", "image/png", 3))) == [f'51-3["e",{PLACE % 0}]', b"raw"]
    assert texts(ROOT.push(pushed(b"{no", ARGUMENTS))) == [f'51-["e",{PLACE % 0}]', b"{no"]


def test_the_gateway_s_answers() -> None:
    hello = Hello(5, "ada", "n", (), 1, 2, True)
    assert texts(CHAT.hello(hello)) == ['0/chat,{"sid":"5"}']
    assert texts(ROOT.reply(3, b"", "")) == ["33[]"]
    assert texts(ROOT.reply(3, b"{}", "")) == ["33[{}]"]
    assert texts(ROOT.reply(3, b"x", "text/plain")) == [f"61-3[{PLACE % 0}]", b"x"]
    assert texts(ROOT.ok(4)) == ['34[{"ok":true}]']
    assert texts(ROOT.error(ErrorReply("busy", "m", 4, "f", 9))) == [
        '34[{"error":{"code":"busy","message":"m","field":"f","retry_ms":9}}]'
    ]
    assert texts(ROOT.error(ErrorReply("rate", "m"))) == ['2["homing:error",{"code":"rate","message":"m"}]']
    assert texts(ROOT.joined("f")) == ['2["homing:joined","f"]']
    assert texts(ROOT.left("f")) == ['2["homing:left","f"]']
    assert texts(CHAT.disconnected()) == ["1/chat,"]
    assert texts(CHAT.invalid_namespace()) == ['4/chat,{"message":"Invalid namespace"}']
    assert texts(ROOT.refused("forbidden", "no")) == ['4{"message":"no","data":{"code":"forbidden"}}']
    assert (ROOT.pong(1), ROOT.reconnect(1, "r")) == ((), ())


def test_the_msgpack_parser_s() -> None:
    codec = msgpack_codec("/chat")
    (message,) = codec.push(pushed(b'{"a":1}', ack=7))
    assert not message.text
    assert msgspec.msgpack.decode(message.parts[0]) == {"type": 2, "nsp": "/chat", "data": ["e", {"a": 1}], "id": 7}
    binary = msgspec.msgpack.decode(codec.push(pushed(b"x", "image/png"))[0].parts[0])
    assert binary == {"type": 2, "nsp": "/chat", "data": ["e", b"x"]}
    assert msgspec.msgpack.decode(codec.reply(1, b"x", "a/b")[0].parts[0])["data"] == [b"x"]
    assert msgspec.msgpack.decode(codec.disconnected()[0].parts[0]) == {"type": 1, "nsp": "/chat"}


@pytest.mark.parametrize(
    ("data", "expected"),
    [(b'"\\ud800"', "?"), (b"123456789012345678901234567890", 1.2345678901234568e29), (b"-9999999999999999999", -1e19)],
)
def test_json_that_msgpack_cannot_carry_is_carried_as_far_as_it_can(data: bytes, expected: object) -> None:
    (message,) = MsgpackCodec("/").push(pushed(data))
    assert msgspec.msgpack.decode(message.parts[0])["data"][1] == expected


def test_a_codec_is_one_of_the_two_parsers() -> None:
    bare = SocketIoCodec("/")
    for call in (
        lambda: bare.packet(2, (), None),
        lambda: bare.binary_packet(2, "e", b"", None),
        lambda: bare.control(0),
    ):
        with pytest.raises(NotImplementedError):
            call()


@given(JSON)
def test_a_push_of_any_json_comes_back_from_a_reader(value: object) -> None:
    data = json.dumps(value).encode()
    (message,) = DefaultCodec("/").push(pushed(data))
    found = read(b"".join(message.parts).decode())
    assert isinstance(found, Emitted)
    assert json.loads(found.data) == [value]


def test_messages_are_shared() -> None:
    assert default_codec("/") is default_codec("/")
    assert isinstance(ROOT.push(pushed(b"1"))[0], Message)

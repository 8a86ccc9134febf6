"""Whatever bytes a client sends, a codec answers with a message or with BadMessage (docs/promises.md, row 55)."""

import contextlib
import json

import msgpack
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.wire.envelope_json import JsonEnvelope
from gateway.wire.envelope_msgpack import MsgpackEnvelope
from gateway.wire.values import Ack, BadMessage, ClientEvent, Ping, PushedMessage

JSON, MSGPACK = JsonEnvelope(), MsgpackEnvelope()


def refusal(codec: JsonEnvelope | MsgpackEnvelope, payload: bytes) -> BadMessage:
    with pytest.raises(BadMessage) as refused:
        codec.read(codec is JSON, payload)
    return refused.value


@pytest.mark.parametrize(
    "payload",
    [
        bytes.fromhex("81a474797065a2fffe"),
        b"\x82\xa4type\xa1x\xa1d" + b"\x91" * 1500 + b"\xc0",
        b"\x82\xa4type\xa5event\xa2id\xa2\xff\xfe",
        b"\xdf\xff\xff\xff\xff",
        b"\x81\xc0\xc0",
        b"\xd9",
        b"",
    ],
)
def test_row_55_a_msgpack_that_cannot_be_read_is_a_bad_message(payload: bytes) -> None:
    refusal(MSGPACK, payload)


@given(st.binary(max_size=64), st.booleans())
def test_row_55_arbitrary_bytes(payload: bytes, as_json: bool) -> None:
    codec = JSON if as_json else MSGPACK
    with contextlib.suppress(BadMessage):
        codec.read(as_json, payload)


@given(st.recursive(st.none() | st.text() | st.integers(-(2**63), 2**64 - 1) | st.binary(), st.lists, max_leaves=5))
def test_row_55_any_value_in_any_field(value: object) -> None:
    for field in ("type", "event", "data", "file", "id", "content_type", "traceparent", "token"):
        message = {"type": "event", "event": "e", "data": b"1", field: value}
        with contextlib.suppress(BadMessage):
            MSGPACK.read(False, msgpack.packb(message))


def test_half_a_surrogate_pair_is_carried_as_it_is() -> None:
    event = JSON.read(True, rb'{"type":"event","event":"e","data":{"text":"x\uD83d"},"id":7}')
    assert event == ClientEvent("e", rb'{"text":"x\uD83d"}', id=7)
    ack = JSON.read(True, rb'{"type":"ack","ack":3,"data":"\udc00"}')
    assert ack.data == rb'"\udc00"'
    carried = MSGPACK.read(False, msgpack.packb({"type": "event", "event": "e", "data": rb'"\ud83d"'}))
    assert carried.data == rb'"\ud83d"'


@pytest.mark.parametrize("field", ["event", "file", "traceparent"])
def test_half_a_surrogate_pair_in_a_name_is_refused_with_its_id(field: str) -> None:
    message = {"type": "event", "event": "e", "data": 1, "id": 9, field: "\ud83d"}
    bad = refusal(JSON, json.dumps(message).encode())
    assert (bad.field, bad.id) == (field, 9)


@pytest.mark.parametrize(
    ("payload", "id"),
    [
        (b'{"type":"event","event":7,"id":4}', 4),
        (rb'{"type":"event","event":7,"data":"\ud83d","id":4}', 4),
        (b'{"type":"event","event":"e","event":"f","data":1,"id":5}', 5),
        (b'{"type":"event","event":"e","data":"!","content_type":"x/y","id":6}', 6),
        (b'{"type":"event","event":"","data":1,"id":8}', 8),
        (b'{"type":"join","file":"","id":2}', 2),
        (b'{"type":"nothing","id":3}', 3),
        (b'{"type":"event","id":', None),
    ],
)
def test_a_refusal_has_the_id_wherever_it_can_be_known(payload: bytes, id: int | None) -> None:
    assert refusal(JSON, payload).id == id


def test_an_ack_may_come_without_data() -> None:
    assert JSON.read(True, b'{"type":"ack","ack":3}') == Ack(3, b"", "")
    assert MSGPACK.read(False, msgpack.packb({"type": "ack", "ack": 3})) == Ack(3, b"", "")


def test_a_msgpack_payload_with_a_content_type_is_any_bytes() -> None:
    message = {"type": "event", "event": "e", "data": b"\0\xff", "content_type": "a/b"}
    assert MSGPACK.read(False, msgpack.packb(message)) == ClientEvent("e", b"\0\xff", "a/b")


@pytest.mark.parametrize("head", [b"\x82", b"\xde\0\x02", b"\xdf\0\0\0\x02"], ids=["fixmap", "map 16", "map 32"])
def test_a_msgpack_map_may_announce_its_size_in_any_form_and_no_key_stands_twice(head: bytes) -> None:
    kind = b"\xa4type\xa4ping"
    assert MSGPACK.read(False, head + kind + b"\xa2id\x07") == Ping(7)
    assert "twice" in str(refusal(MSGPACK, head + kind + kind))


EVERY_BLOCK = b"".join(rb"\u%x801" % digit for digit in range(16) if digit != 13)


@pytest.mark.parametrize(
    "payload", [b"", b"{", rb'{"\ud83d":"' + EVERY_BLOCK + b'"}'], ids=["empty", "cut", "no block free"]
)
def test_a_json_whose_keys_cannot_be_read_is_never_taken_to_have_each_once(payload: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        JSON._format.has_repeated_key(payload)


@pytest.mark.parametrize(("data", "content_type"), [(b'{"a": 1}', ""), (b"\0\xff", "image/png")])
def test_a_payload_goes_down_in_msgpack_as_its_bytes(data: bytes, content_type: str) -> None:
    ((text, parts),) = MSGPACK.push(PushedMessage("e", data, content_type, "p", ""))
    kind = {"content_type": content_type} if content_type else {}
    assert not text
    assert msgpack.unpackb(b"".join(parts)) == {"type": "event", "event": "e", "data": data, "push": "p"} | kind

"""The envelope of homing.json, both ways (docs/protocol.md; docs/promises.md, rows 55, 56)."""

import json
import time

import pytest

from gateway.wire.envelope_json import JsonEnvelope
from gateway.wire.values import (
    Auth,
    BadMessage,
    ClientEvent,
    ErrorReply,
    Hello,
    Join,
    Leave,
    Messages,
    Ping,
    PushedMessage,
)

JSON = JsonEnvelope()
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def body(messages: Messages) -> dict:
    """What the one text message holds."""
    ((text, parts),) = messages
    assert text
    return json.loads(b"".join(parts))


def read(message) -> object:
    return JSON.read(True, message if isinstance(message, bytes) else json.dumps(message).encode())


def bad(message) -> BadMessage:
    begin = time.process_time()
    with pytest.raises(BadMessage) as caught:
        read(message)
    assert time.process_time() - begin < 0.01
    assert str(caught.value)
    return caught.value


def test_hello():
    assert body(JSON.hello(Hello(2**62, "ada", "n1", ("doc",), 25000, 65536, True))) == {
        "type": "hello",
        "session": str(2**62),
        "user": "ada",
        "node": "n1",
        "files": ["doc"],
        "ping_ms": 25000,
        "max_bytes": 65536,
        "registered": True,
    }


def test_a_push_carries_its_json_as_it_is():
    data = b'{"a" : 1.50, "b":[ ]}'
    messages = JSON.push(PushedMessage("edit", data, "", "p1", "doc", 7, TRACE))
    assert data in messages[0].parts[0]
    assert body(messages) == {
        "type": "event",
        "event": "edit",
        "data": {"a": 1.5, "b": []},
        "push": "p1",
        "file": "doc",
        "ack": 7,
        "traceparent": TRACE,
    }


def test_a_push_leaves_out_what_it_has_not():
    assert body(JSON.push(PushedMessage("e", b"null", "", "p", ""))) == {
        "type": "event",
        "event": "e",
        "data": None,
        "push": "p",
    }


def test_a_push_of_another_kind_is_base64():
    assert body(JSON.push(PushedMessage("e", b"\0\xff", "image/png", "p", ""))) == {
        "type": "event",
        "event": "e",
        "data": "AP8=",
        "push": "p",
        "content_type": "image/png",
    }


def test_answers():
    assert body(JSON.ok(3)) == {"type": "ok", "id": 3}
    assert body(JSON.pong(None)) == {"type": "pong"}
    assert body(JSON.pong(0)) == {"type": "pong", "id": 0}
    assert body(JSON.error(ErrorReply("busy", "wait"))) == {"type": "error", "code": "busy", "message": "wait"}
    assert body(JSON.error(ErrorReply("rate", "slow down", 0, "f", 500))) == {
        "type": "error",
        "code": "rate",
        "message": "slow down",
        "id": 0,
        "field": "f",
        "retry_ms": 500,
    }


@pytest.mark.parametrize("data", [b"null", b"1.50", b'"\\u00e9"', b'{"a" : [1, 2 ],"a":3}', '{"é":1}'.encode()])
@pytest.mark.parametrize(
    "form", [b'{"type":"event","event":"e","data":%s}', b' { "data" : %s , "event":"e","type":"event"}']
)
def test_an_events_data_is_its_raw_bytes(form, data):
    assert read(form % data) == ClientEvent("e", data)


def test_an_event_with_everything():
    message = {"type": "event", "event": "e", "data": "AP8=", "content_type": "a/b", "file": "doc", "id": 4}
    assert read(message | {"traceparent": TRACE, "unknown": [1]}) == ClientEvent("e", b"\0\xff", "a/b", "doc", 4, TRACE)


def test_a_malformed_traceparent_is_as_good_as_none():
    assert read({"type": "event", "event": "e", "data": 1, "traceparent": "00-x"}).traceparent == ""


def test_other_messages():
    assert read({"type": "auth", "token": "a.b.c"}) == Auth("a.b.c")
    assert read({"type": "auth", "token": "a.b.c", "id": 2**53 - 1}) == Auth("a.b.c", 2**53 - 1)
    assert read({"type": "join", "file": "doc", "id": 0}) == Join("doc", 0)
    assert read({"type": "leave", "file": "doc"}) == Leave("doc")
    assert read({"type": "ping"}) == Ping()
    assert read({"type": "ping", "id": 9, "__proto__": {"toString": "x"}}) == Ping(9)


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"{",
        b'{"type":"ping"',
        b'{"type":"ping"}x',
        b"[" * 10_000,
        b'{"type":"event","event":"e","data":' + b"[" * 10_000 + b"]" * 10_000 + b"}",
        b'{"type":"ping","x":' + b'{"a":' * 10_000 + b"1" + b"}" * 10_000 + b"}",
        b'{"type":"event","event":"e","data":NaN}',
        b'{"type":"event","event":"e","data":Infinity}',
        b'{"type":"event","event":"e","data":01}',
        b'{"type":"event","event":"e","data":{"a":}}',
        b'{"type":"event","event":"e","data":"\x01"}',
        b"null",
        b"[]",
        b'"ping"',
        b"7",
    ],
    ids=lambda message: message[:24].decode(),
)
def test_row_55_what_is_no_message(message):
    assert bad(message).field == ""


@pytest.mark.parametrize(
    "message",
    [
        b'{"type":"ping","type":"ping"}',
        b'{"type": "ping", "id": 1, "id": 2}',
        b'{"type":"event","event":"a","data":1,"data":2}',
        b'{"type":"ping","x":1,  "x":' + b"1" * 5000 + b"}",
        b'{"type":"ping","id":123,"id":123,"a":1,"b":2,"c":3}',
        b'{"type":"ping","\\u0078":1,"x":1}',
    ],
)
def test_row_55_a_key_that_stands_twice(message):
    assert "twice" in str(bad(message))


def test_a_number_of_any_length_is_only_carried():
    assert read(b'{"type":"event",  "event":"e","data":' + b"1" * 5000 + b"}").data == b"1" * 5000


@pytest.mark.parametrize(
    ("message", "field"),
    [
        ({"type": "ack", "ack": "1"}, "ack"),
        ({"type": "ack"}, "ack"),
        ({"type": "reply", "id": 1}, "type"),
        ({"type": "resume"}, "type"),
        ({"type": "hello"}, "type"),
        ({"type": "__proto__"}, "type"),
        ({"type": 7}, "type"),
        ({"type": None}, "type"),
        ({}, "type"),
        ({"toString": "x"}, "type"),
        ({"type": "event", "event": "e"}, "data"),
        ({"type": "event", "data": 1}, "event"),
        ({"type": "event", "event": 7, "data": 1}, "event"),
        ({"type": "event", "event": "", "data": 1}, "event"),
        ({"type": "event", "event": "é" * 65, "data": 1}, "event"),
        ({"type": "event", "event": "e", "data": 1, "file": ""}, "file"),
        ({"type": "event", "event": "e", "data": 1, "file": 1}, "file"),
        ({"type": "event", "event": "e", "data": 1, "file": "é" * 129}, "file"),
        ({"type": "event", "event": "e", "data": 1, "file": None}, "file"),
        ({"type": "event", "event": "e", "data": 1, "traceparent": 1}, "traceparent"),
        ({"type": "event", "event": "e", "data": "", "content_type": ""}, "content_type"),
        ({"type": "event", "event": "e", "data": "", "content_type": "a\r\nX: b"}, "content_type"),
        ({"type": "event", "event": "e", "data": "", "content_type": "a/b\n"}, "content_type"),
        ({"type": "event", "event": "e", "data": "", "content_type": "x" * 129}, "content_type"),
        ({"type": "event", "event": "e", "data": {}, "content_type": "a/b"}, "data"),
        ({"type": "event", "event": "e", "data": "A", "content_type": "a/b"}, "data"),
        ({"type": "event", "event": "e", "data": "AA-_", "content_type": "a/b"}, "data"),
        ({"type": "event", "event": "e", "data": "é", "content_type": "a/b"}, "data"),
        ({"type": "auth"}, "token"),
        ({"type": "auth", "token": 1}, "token"),
        ({"type": "join"}, "file"),
        ({"type": "join", "file": "x" * 257}, "file"),
        ({"type": "leave", "file": ""}, "file"),
        ({"type": "ping", "id": "1"}, "id"),
        ({"type": "ping", "id": -1}, "id"),
        ({"type": "ping", "id": 2**53}, "id"),
        ({"type": "ping", "id": 1.5}, "id"),
        ({"type": "ping", "id": True}, "id"),
        (b'{"type":"ping","id":1e400}', "id"),
    ],
    ids=str,
)
def test_row_56_the_field_is_named(message, field):
    assert bad(message).field == field


def test_row_56_the_answer_finds_its_request():
    assert bad({"type": "join", "file": 7, "id": 12}).id == 12
    assert bad({"type": "join", "file": "", "id": 12}).id == 12
    assert bad({"type": "ack", "id": 12}).id == 12  # no ack number
    assert bad({"type": "join", "file": 7, "id": "x"}).id is None


def test_a_binary_frame_is_no_message():
    with pytest.raises(BadMessage):
        JSON.read(False, b'{"type":"ping"}')

"""Requests and reports as JSON."""

import json

import pytest

from homing.v1 import router_pb2 as pb
from router.api.json_mapping import UnreadablePush, decode, decode_batch, encode
from router.push import CallRefused


def request(body: str) -> pb.PushRequest:
    return decode(body.encode(), pb.PushRequest())


def test_a_json_payload_is_kept_byte_for_byte() -> None:
    body = (
        '{"target": {"file": "f"}, "event": "e", "json": {"a" : 1.0e2,  "b":[ ]}, "ttl": "1.5s", "max_deliveries": 0}'
    )
    message = request(body)
    assert message.data == b'{"a" : 1.0e2,  "b":[ ]}'
    assert (message.ttl.ToMilliseconds(), message.HasField("max_deliveries")) == (1500, True)


def test_camel_case_and_64_bit_numbers_as_strings() -> None:
    message = request('{"target": {"session": "9007199254740993"}, "pushId": "p", "data": "AP8="}')
    assert (message.target.session, message.push_id, message.data) == (9007199254740993, "p", b"\x00\xff")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ('{"json": 1, "data": "MQ=="}', "json"),
        ('{"json": 1, "content_type": "text/plain"}', "content_type"),
        ('{"evnt": "e"}', "evnt"),
        ('{"target": {"usr": "u"}}', "usr"),
        ('{"ttl": "soon"}', "ttl"),
        ("{", ""),
        ('"text"', ""),
        ("[" * 5000 + "]" * 5000, ""),
    ],
)
def test_a_mistake_is_named(body: str, field: str) -> None:
    with pytest.raises(CallRefused) as caught:
        request(body)
    assert (caught.value.code, caught.value.field) == ("INVALID_ARGUMENT", field)


def test_a_batch() -> None:
    first, second = decode_batch(b'{"pushes": [{"event": "a", "json": [1]}, {"event": "b"}]}')
    assert (first.event, first.data, second.event) == ("a", b"[1]", "b")
    assert decode_batch(b"{}") == []
    good, odd, not_even = decode_batch(b'{"pushes": [{"event": "a"}, {"push_id": "p", "evnt": "b"}, 7]}')
    assert isinstance(good, pb.PushRequest)
    assert isinstance(odd, UnreadablePush)
    assert (odd.push_id, odd.refused.field) == ("p", "evnt")
    assert isinstance(not_even, UnreadablePush)
    assert (not_even.push_id, not_even.refused.code) == ("", "INVALID_ARGUMENT")
    with pytest.raises(CallRefused):
        decode_batch(b'{"pushs": []}')


def test_a_report_shows_every_field_and_a_json_ack_in_place() -> None:
    report = pb.PushReport(push_id="p", counts={"ACKED": 2})
    report.deliveries.add(session=7, outcome=pb.Delivery.ACKED, ack_data=b'{"x" : 1}')
    report.deliveries.add(session=8, outcome=pb.Delivery.ACKED, ack_data=b"\xff", ack_content_type="image/png")
    report.deliveries.add(session=9, outcome=pb.Delivery.WRITTEN)
    text = encode(pb.PushResponse(report=report)).decode()
    assert '"ack_json":{"x" : 1}' in text
    one, two, three = json.loads(text)["report"]["deliveries"]
    assert (one["session"], "ack_data" in one) == ("7", False)
    assert (two["ack_data"], two["ack_content_type"]) == ("/w==", "image/png")
    assert {"ack_data", "ack_json", "ack_content_type"}.isdisjoint(three)
    assert json.loads(text)["report"]["healed"] is False
    assert json.loads(encode(pb.ReplyResponse(outcome=pb.Delivery.OFFLINE))) == {"outcome": "OFFLINE"}


def test_half_a_surrogate_pair_in_json_is_carried_as_it_is():
    target = b'"target":{"user":"ada"},"event":"e"'
    push = decode(rb'{"json":{"text":"x\uD83D"},' + target + b"}", pb.PushRequest())
    assert push.data == rb'{"text":"x\uD83D"}'
    items = decode_batch(rb'{"pushes":[{"json":"\ud83d",' + target + rb'},{"event":"\udc00"}]}')
    assert items[0].data == rb'"\ud83d"'
    assert isinstance(items[1], UnreadablePush)
    with pytest.raises(CallRefused):
        decode(rb'{"event":"\ud83d"}', pb.PushRequest())
    with pytest.raises(CallRefused):
        decode(rb'{"json":"\ud83d"', pb.PushRequest())

"""A caller's arguments become a request, or an error before anything is sent."""

import dataclasses
import math

import pytest

from homing.client.requests import make_data, make_reply, make_target, to_duration, to_seconds
from homing.client.values import Delivery, Outcome


@dataclasses.dataclass
class Point:
    x: int


@pytest.mark.parametrize(
    ("data", "content_type", "carried"),
    [
        (None, "", b"null"),
        ({"a": [1, "ü"]}, "", '{"a":[1,"ü"]}'.encode()),
        ("text", "", b'"text"'),
        (Point(3), "", b'{"x":3}'),
        (b'{"raw": 1}', "", b'{"raw": 1}'),
        (bytearray(b"\x00\xff"), "image/png", b"\x00\xff"),
        ([1, 2], "application/vnd.homing.args+json", b"[1,2]"),
    ],
)
def test_data_is_json_or_unchanged_bytes(data, content_type, carried):
    assert make_data(data, content_type) == carried


@pytest.mark.parametrize("data", [object(), {1, (2,)}.__iter__()])
def test_data_that_is_no_json_value_raises(data):
    with pytest.raises(TypeError):
        make_data(data, "")


@pytest.mark.parametrize(
    "content_type", ["text/html", "text/jsonp", "application/json-seq", "text/plain; x=json", "json"]
)
def test_only_bytes_have_a_type_that_is_not_json(content_type):
    with pytest.raises(TypeError, match="must be bytes"):
        make_data("<p>", content_type)
    assert make_data(b"<p>", content_type) == b"<p>"


@pytest.mark.parametrize(
    "content_type", ["Application/JSON", "application/json; charset=utf-8", "application/a+JSON", ""]
)
def test_a_type_is_json_by_its_media_type(content_type):
    assert make_data([1], content_type) == b"[1]"
    assert Delivery(1, "u", "g", Outcome.ACKED, ack_data=b"[1]", ack_content_type=content_type).ack == [1]


def test_an_ack_that_is_no_json_is_bytes():
    for raw, content_type in ((b"[1]", "text/jsonp"), (b"{", "application/json"), (b"[" * 9999, "")):
        assert Delivery(1, "u", "g", Outcome.ACKED, ack_data=raw, ack_content_type=content_type).ack == raw


def nested(depth):
    value = []
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("data", "error", "message"),
    [
        (object(), TypeError, "data: Encoding objects of type object is unsupported"),
        ({"a": [math.nan]}, ValueError, "data: JSON has no nan; None is null"),
        (Point(-math.inf), ValueError, "data: JSON has no -inf"),
        ((None, [{"a": {math.inf}}]), ValueError, "data: JSON has no inf"),
        ("\ud800", ValueError, "data: a text has a lone surrogate"),
        (nested(100_000), ValueError, "data is nested too deeply for JSON"),
        ({1.5j: 1}, TypeError, "data: "),
    ],
)
def test_an_error_about_data_names_it(data, error, message):
    with pytest.raises(error) as caught:
        make_data(data, "")
    assert str(caught.value).startswith(message)


def test_null_and_large_numbers_are_carried():
    assert (
        make_data({"a": None, "b": [1e308, Point(1)], "c": "null"}, "") == b'{"a":null,"b":[1e308,{"x":1}],"c":"null"}'
    )


def test_exactly_one_target():
    assert make_target(None, None, None, True).everyone
    assert make_target(0, None, None, False).WhichOneof("to") == "session"  # the router validates the value
    for target in ((None, None, None, False), (1, "u", None, False), (None, "u", None, True)):
        with pytest.raises(TypeError, match="exactly one"):
            make_target(*target)


def test_durations_convert_both_ways():
    assert to_seconds(to_duration(1.25)) == 1.25
    assert to_duration(-0.5).ToNanoseconds() == -500_000_000  # the router refuses it, naming the field


def test_a_reply_is_data_or_an_error():
    assert make_reply(1, 2, {"a": 1}, "", None).data == b'{"a":1}'
    failed = make_reply(1, 2, None, "", "it broke")
    assert (failed.data, failed.error.code, failed.error.message) == (b"", "internal", "it broke")


@pytest.mark.parametrize(("data", "content_type"), [({"a": 1}, ""), (0, ""), (None, "text/plain")])
def test_an_error_does_not_replace_data_silently(data, content_type):
    with pytest.raises(TypeError, match=r"^error is the reply in place of data"):
        make_reply(1, 2, data, content_type, "it broke")

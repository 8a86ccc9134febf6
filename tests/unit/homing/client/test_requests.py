"""A caller's arguments become a request, or an error before anything is sent."""

import dataclasses

import pytest

from homing.client.requests import make_data, make_reply, make_target, to_duration, to_seconds


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


def test_only_bytes_have_a_type_that_is_not_json():
    with pytest.raises(TypeError, match="must be bytes"):
        make_data("<p>", "text/html")


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
    failed = make_reply(1, 2, {"a": 1}, "", "it broke")
    assert (failed.data, failed.error.code, failed.error.message) == (b"", "internal", "it broke")

"""The checks of a push request, field by field."""

import pytest
from google.protobuf.duration_pb2 import Duration
from hypothesis import given
from hypothesis import strategies as st

from homing.v1 import router_pb2 as pb
from router.push import CallRefused, Target, check_data, check_file, check_push, check_target
from tests.support import calls

MAX = 20_000


def push(event: str = "e", **fields: object) -> pb.PushRequest:
    return calls.push(event, **({"push_id": "p"} | fields))


def refused(request: pb.PushRequest) -> CallRefused:
    with pytest.raises(CallRefused) as caught:
        check_push(request, MAX)
    return caught.value


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (push(), "target"),
        (push(session=0), "target.session"),
        (push(user=""), "target.user"),
        (push(file=""), "target.file"),
        (push(everyone=False), "target.everyone"),
        (push(user="x" * 257), "target.user"),
        (push("", user="a"), "event"),
        (push("x" * 129, user="a"), "event"),
        (push("ü" * 65, user="a"), "event"),
        (push("homing:join", user="a"), "event"),
        (push("disconnect", user="a"), "event"),
        (push(user="a", data=b""), "data"),
        (push(user="a", data=b"{"), "data"),
        (push(user="a", data=b"NaN"), "data"),
        (push(user="a", data=b'"\xff"'), "data"),
        (push(user="a", data=b"[" * 9000 + b"]" * 9000), "data"),
        (push(user="a", data=b"1" * (MAX + 1)), "data"),
        (push(user="a", content_type="a\r\nb"), "content_type"),
        (push(user="a", push_id=""), "push_id"),
        (push(user="a", push_id="x" * 65), "push_id"),
        (push(user="a", push_id="ü"), "push_id"),
        (push(user="a", ttl=Duration()), "ttl"),
        (push(user="a", ttl=Duration(seconds=-1)), "ttl"),
        (push(user="a", ttl=Duration(seconds=86_401)), "ttl"),
        (push(user="a", ack_timeout=Duration()), "ack_timeout"),
        (push(user="a", ack_timeout=Duration(seconds=61)), "ack_timeout"),
        (push(user="a", except_sessions=range(1001)), "except_sessions"),
        (push(user="a", max_deliveries=10_001), "max_deliveries"),
    ],
)
def test_row_65_a_bad_field_is_named_and_nothing_else_happens(request_: pb.PushRequest, field: str) -> None:
    error = refused(request_)
    assert (error.code, error.field) == ("INVALID_ARGUMENT", field)
    assert str(error).startswith(f"{field}: ")


def test_what_is_not_there_yet_says_so() -> None:
    assert refused(push(user="a", durable=True)).code == "FAILED_PRECONDITION"


def test_defaults() -> None:
    checked = check_push(push(user="a"), MAX)
    assert (checked.ttl, checked.max_deliveries, checked.content_type) == (30.0, 100, "")
    assert check_push(push(user="a", max_deliveries=0), MAX).max_deliveries == 0
    assert check_push(push(user="a", content_type="application/json"), MAX).content_type == ""


def test_anything_that_is_not_json_is_carried_as_it_is() -> None:
    assert check_push(push(user="a", data=b"\x00\xff", content_type="image/png"), MAX).data == b"\x00\xff"


@given(st.recursive(st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.text(), st.lists))
def test_json_that_python_writes_is_taken(value: object) -> None:
    import json

    data = json.dumps(value).encode()
    if len(data) <= MAX:
        assert check_push(push(user="a", data=data), MAX).data == data


def test_targets() -> None:
    assert check_target(pb.Target(session=7)) == Target(session=7)
    assert check_target(pb.Target(everyone=True, namespace="*")) == Target(everyone=True, namespace="*")
    assert check_file("x" * 256) == "x" * 256
    for file in ("", "x" * 257):
        with pytest.raises(CallRefused):
            check_file(file)


def test_half_a_surrogate_pair_is_json_and_stays_as_it_is():
    assert check_data(rb'{"text":"x\ud83d"}', "", 100) == rb'{"text":"x\ud83d"}'
    with pytest.raises(CallRefused, match="not valid JSON"):
        check_data(rb'{"text":"x\ud83d"', "", 100)


def test_times_and_excepted_sessions_are_carried() -> None:
    request = push(user="a", ttl=Duration(seconds=60), ack_timeout=Duration(seconds=5), except_sessions=[7])
    checked = check_push(request, MAX)
    assert (checked.ttl, checked.ack_timeout, tuple(checked.except_sessions)) == (60.0, 5.0, (7,))

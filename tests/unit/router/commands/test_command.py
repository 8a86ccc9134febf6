"""A record as a command: its operator, what it adds to the request, the headers of its dead letter."""

import pytest

from homing.v1 import router_pb2 as pb
from router.commands.command import (
    MAX_REASON,
    OPERATORS,
    Origin,
    complete_push,
    dead_letter_headers,
    decode_headers,
    operator_of,
)
from router.push import CallRefused, check_push, invalid_argument

ORIGIN = Origin("homing.commands", 3, 41)
TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = f"00-{TRACE}-00f067aa0ba902b7-01"


def push(**fields):
    return pb.PushRequest(target=pb.Target(user="ada"), event="e", data=b"1", **fields)


@pytest.mark.parametrize("operator", OPERATORS)
def test_each_operator_is_known(operator):
    assert operator_of({"X-Operator": operator}, b"{}") == operator


@pytest.mark.parametrize(
    ("headers", "value", "words"),
    [
        ({}, b"{}", "X-Operator: the record has no such header"),
        ({"x-operator": "unicast"}, b"{}", "X-Operator: the record has no such header"),
        ({"X-Operator": ""}, b"{}", "X-Operator: '' is none of unicast, broadcast, join"),
        ({"X-Operator": "Unicast"}, b"{}", "is none of"),
        ({"X-Operator": "unicast"}, None, "has no value"),
    ],
)
def test_a_record_that_is_no_command_is_refused_with_the_reason(headers, value, words):
    with pytest.raises(CallRefused, match=words.replace("(", r"\(")) as refused:
        operator_of(headers, value)
    assert refused.value.code == "INVALID_ARGUMENT"


@pytest.mark.parametrize(
    ("operator", "target", "fits"),
    [
        ("unicast", {"session": 1}, True),
        ("unicast", {"user": "a"}, True),
        ("unicast", {"file": "f"}, True),
        ("unicast", {"everyone": True}, False),
        ("broadcast", {"file": "f"}, True),
        ("broadcast", {"everyone": True}, True),
        ("broadcast", {"session": 1}, False),
        ("broadcast", {"user": "a"}, False),
    ],
)
def test_an_operator_must_fit_its_target(operator, target, fits):
    request = pb.PushRequest(target=pb.Target(**target))
    if fits:
        complete_push(operator, request, {}, ORIGIN)
    else:
        with pytest.raises(CallRefused, match="target: "):
            complete_push(operator, request, {}, ORIGIN)


def test_a_push_without_an_id_gets_one_from_the_origin_of_its_record():
    request = push()
    complete_push("unicast", request, {}, ORIGIN)
    assert request.push_id == "homing.commands-3-41"
    longest = push()
    complete_push("unicast", longest, {}, Origin("t" * 249, 2**31 - 1, 2**63 - 1))
    assert len(longest.push_id) <= 64
    check_push(longest, 1000)


def test_a_push_keeps_its_own_id():
    request = push(push_id="mine")
    complete_push("unicast", request, {}, ORIGIN)
    assert request.push_id == "mine"


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"traceparent": PARENT}, PARENT),
        ({"X-Trace-ID": TRACE}, f"00-{TRACE}-0000000000000000-01"),
        ({"traceparent": PARENT, "X-Trace-ID": "f" * 32}, PARENT),
        ({"traceparent": "nonsense"}, "own"),
        ({}, "own"),
    ],
)
def test_the_record_s_trace_goes_before_the_request_s(headers, expected):
    request = push(traceparent="own")
    complete_push("unicast", request, headers, ORIGIN)
    assert request.traceparent == expected


def test_other_requests_are_left_as_they_are():
    request = pb.JoinRequest(target=pb.Target(user="a"), file="f")
    complete_push("join", request, {"traceparent": PARENT}, ORIGIN)
    assert request == pb.JoinRequest(target=pb.Target(user="a"), file="f")


def test_a_dead_letter_keeps_its_headers_and_adds_reason_and_origin():
    given = [("X-Operator", b"shout"), ("mine", b"\xff"), ("X-Reason", b"an older one")]
    assert dead_letter_headers(given, invalid_argument("X-Operator", "no"), ORIGIN) == [
        ("X-Operator", b"shout"),
        ("mine", b"\xff"),
        ("X-Reason", b"INVALID_ARGUMENT: X-Operator: no"),
        ("X-Origin-Topic", b"homing.commands"),
        ("X-Origin-Partition", b"3"),
        ("X-Origin-Offset", b"41"),
    ]


def test_a_long_reason_is_cut():
    ((_, reason), *_) = dead_letter_headers([], invalid_argument("event", "x" * 5000), ORIGIN)
    assert len(reason) == MAX_REASON


def test_any_headers_can_be_decoded():
    assert decode_headers([("a", b"1"), ("b", b"\xff"), ("c", None), ("a", b"2")]) == {"a": "2", "b": "\ufffd"}

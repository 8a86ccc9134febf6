"""Encoded requests decode as protobuf."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.cluster.load import push_encoder
from bench.cluster.load.push_encoder import PushEncoder, batches, encode_varint
from homing.v1 import router_pb2 as pb

SETTINGS = {"kind": 1, "size": 200, "count": 10, "target": "user", "names": "user-%d", "ack_ms": 0}


def read(message: bytes) -> list[pb.PushRequest]:
    return list(pb.PushStreamRequest.FromString(message).pushes)


def test_a_push_to_a_user():
    (push,) = read(PushEncoder(SETTINGS, lambda _n: "").push(13, 77))
    assert push.target.user == "user-3"
    assert (push.event, push.push_id[:5], push.max_deliveries) == ("e", "1-13-", 0)
    (other,) = read(PushEncoder(SETTINGS, lambda _n: "").push(13, 77))
    assert other.push_id != push.push_id  # gateways would not write a push_id again
    assert push.HasField("max_deliveries")
    assert not push.HasField("ack_timeout")
    decoded = json.loads(push.data)
    assert (decoded["k"], decoded["n"], decoded["due"], len(push.data)) == (1, 13, 77, 200)


def test_a_file_a_session_an_ack_and_a_trace():
    (push,) = read(
        PushEncoder(SETTINGS | {"target": "file", "names": "all", "ack_ms": 1500}, lambda n: f"t{n}").push(4, 1)
    )
    assert (push.target.file, push.traceparent) == ("all", "t4")
    assert push.ack_timeout.ToMilliseconds() == 1500
    sids = [str((1 << 62) + n) for n in range(10)]
    (push,) = read(PushEncoder(SETTINGS | {"target": "session", "names": sids}, lambda _n: "").push(12, 1))
    assert push.target.session == (1 << 62) + 2
    (push,) = read(PushEncoder(SETTINGS | {"names": ["a", "b"], "count": 2}, lambda _n: "").push(3, 1))
    assert push.target.user == "b"


@given(st.integers(0, 2**64 - 1))
def test_varints(value):
    assert pb.Target.FromString(b"\x08" + encode_varint(value)).session == value


@pytest.mark.parametrize(("number", "size"), [(0, 200), (1, 200), (256, 200), (257, 200), (30, 100_000), (2, 1 << 20)])
def test_messages_respect_the_bounds_of_the_api(number, size):
    encoder = PushEncoder(SETTINGS | {"size": size}, lambda _n: "")
    messages = batches([encoder.push(n, 0) for n in range(number)])
    decoded_messages = [read(message) for message in messages]
    numbers = [int(push.push_id.split("-")[1]) for pushes in decoded_messages for push in pushes]
    assert numbers == list(range(number))
    for message, pushes in zip(messages, decoded_messages, strict=True):
        assert 1 <= len(pushes) <= push_encoder.MESSAGE_PUSHES
        assert len(message) <= push_encoder.MESSAGE_BYTES or len(pushes) == 1

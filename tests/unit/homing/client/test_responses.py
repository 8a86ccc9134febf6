"""A router's responses decode to plain values; outcomes newer than this library are not an error."""

import subprocess
import sys

import pytest

from homing.client import responses
from homing.client.values import Delivery, Outcome
from homing.v1 import router_pb2 as pb


def test_every_outcome_of_the_contract_has_its_name_here():
    named = {value.name for value in pb.Delivery.Outcome.DESCRIPTOR.values} - {"OUTCOME_UNSPECIFIED"}
    assert named == set(Outcome.__members__) - {"UNKNOWN"}


def test_outcomes_that_this_library_does_not_know_are_counted_as_unknown():
    message = pb.PushReport(push_id="p", counts={"WRITTEN": 2, "BEAMED": 1, "SUNG": 1})
    assert responses.decode_report(message).counts == {Outcome.WRITTEN: 2, Outcome.UNKNOWN: 2}
    assert responses.decode_outcome(77) is Outcome.UNKNOWN


@pytest.mark.parametrize(
    ("data", "kind", "ack"),
    [(b"", "", None), (b"[1]", "", [1]), (b'"a"', "application/json", "a"), (b"\x00", "image/png", b"\x00")],
)
def test_an_ack_is_its_json_or_its_bytes(data, kind, ack):
    assert Delivery(1, "u", "n", Outcome.ACKED, None, data, kind).ack == ack


def test_what_a_newer_or_odd_router_answers_is_no_error():
    route = pb.Route(node="g")
    route.source = 77
    assert responses.decode_locate(pb.LocateResponse(routes=[route])).routes[0].source == "UNKNOWN"
    present = pb.PresentSession(session=1)
    assert responses.decode_present_session(present).connected_at is None
    present.connected_at.seconds = 2**62
    assert responses.decode_present_session(present).connected_at is None


def test_importing_homing_stays_cheap():
    code = (
        "import sys, homing; assert 'Router' in dir(homing); "
        "assert not {'grpc', 'google.protobuf', 'asyncio', 'msgspec'} & set(sys.modules); "
        "from homing import Router, SyncRouter, Report, Outcome, Refused, Unavailable, trace_of; "
        "assert 'grpc' in sys.modules and not hasattr(homing, 'nothing')"
    )
    subprocess.run([sys.executable, "-c", code], check=True)

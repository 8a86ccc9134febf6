import io
import json
import sys
from types import SimpleNamespace

import pytest
from google.protobuf.duration_pb2 import Duration

from homing.cluster.errors import CommandError
from homing.command.calls import to_json
from homing.command.locate import describe as describe_routes
from homing.command.payload import read_data
from homing.command.presence import describe as describe_presence
from homing.command.push import describe
from homing.v1.router_pb2 import (
    Delivery,
    LocateResponse,
    PresenceResponse,
    PresentSession,
    PushReport,
    PushResponse,
    Route,
)


def test_data_is_literal_or_from_a_file_or_from_stdin(tmp_path, monkeypatch):
    (tmp_path / "cat.png").write_bytes(b"\x89PNG\xff")
    assert read_data('{"a": "ä"}') == '{"a": "ä"}'.encode()
    assert read_data(f"@{tmp_path}/cat.png") == b"\x89PNG\xff"
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(b"raw\xff")))
    assert read_data("-") == b"raw\xff"
    with pytest.raises(CommandError, match=r"--data: cannot read .*dog\.png: No such file"):
        read_data(f"@{tmp_path}/dog.png")


def test_a_report_is_described_for_a_person():
    report = PushReport(
        push_id="p1",
        counts={"WRITTEN": 2, "OFFLINE": 1},
        nodes_contacted=2,
        owning_nodes=2,
        amplification=1.0,
        healed=True,
        deliveries=[
            Delivery(outcome=Delivery.OFFLINE),
            Delivery(session=7, user="ada", node="g1", outcome=Delivery.WRITTEN, latency=Duration(nanos=1_540_000)),
        ],
        deliveries_truncated=True,
    )
    assert describe(report).splitlines() == [
        "push p1: 1 OFFLINE, 2 WRITTEN",
        "nodes contacted 2, owning 2, amplification 1.0, healed",
        "",
        "SESSION  USER  NODE  OUTCOME  LATENCY",
        "-        -     -     OFFLINE  -",
        "7        ada   g1    WRITTEN  1.5 ms",
        "... and more; --max-deliveries shows up to 10,000",
    ]


def test_json_keeps_the_names_of_the_proto_and_shows_zeros():
    decoded = json.loads(
        to_json(PushResponse(report=PushReport(counts={"OFFLINE": 1}, deliveries=[Delivery(session=7)])))
    )
    assert decoded["report"]["nodes_contacted"] == 0
    assert decoded["report"]["counts"] == {"OFFLINE": 1}
    assert decoded["report"]["deliveries"][0]["session"] == "7"


def test_routes_are_a_table_and_their_absence_is_explained():
    answer = LocateResponse(routes=[Route(node="g1", epoch=12, source=Route.TABLE)], registry_away=True)
    assert describe_routes(answer).splitlines() == [
        "the registry is away: these routes are the last known ones",
        "NODE  EPOCH  SESSIONS  SOURCE",
        "g1    12     -         TABLE",
    ]
    assert describe_routes(LocateResponse(why="no live session of user 'x'")) == "no live session of user 'x'"


def test_what_a_newer_or_odd_router_answers_is_shown():
    delivery, route = Delivery(session=1), Route(node="g")
    delivery.outcome = route.source = 77
    assert "UNKNOWN" in describe(PushReport(push_id="p", deliveries=[delivery]))
    assert "UNKNOWN" in describe_routes(LocateResponse(routes=[route]))
    present = PresenceResponse(sessions=[PresentSession(session=7)])
    assert describe_presence(present).splitlines()[1].split() == ["7", "-"]
    present.sessions[0].connected_at.seconds = 2**62
    assert describe_presence(present).splitlines()[1].split() == ["7", "-"]
    with pytest.raises(CommandError, match="has no form in JSON"):
        to_json(present)

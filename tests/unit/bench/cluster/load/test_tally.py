"""The counts of received pushes."""

import json

import pytest

from bench.cluster.load import histogram
from bench.cluster.load.client_frames import BINARY, TEXT
from bench.cluster.load.tally import Tally, data


def envelope(payload: bytes, ack: int = 0) -> bytes:
    tail = b',"ack":%d' % ack if ack else b""
    return b'{"type":"event","event":"e","data":%b,"push":"0-7"%b}' % (payload, tail)


@pytest.mark.parametrize("size", [0, 100, 200, 5000])
def test_data_is_json_of_the_size(size):
    made = data(1, 7, 1234, size)
    decoded = json.loads(made)
    assert (decoded["k"], decoded["n"], decoded["due"]) == (1, 7, 1234)
    assert len(made) == size or size == 0


def test_a_push_counts_under_its_number_with_its_latency():
    tally = Tally()
    assert tally.on_message(TEXT, envelope(data(1, 7, 1_000, 200)), 3_000) == b""
    assert tally.on_message(BINARY, data(1, 7, 1_000, 200), 3_000) == b""
    assert tally.received[1][7] == 2
    assert tally.received[1][6] == 0
    assert len(tally.received[0]) == 0
    assert histogram.quantile(tally.latencies[1], 0.5) == pytest.approx(2.0, rel=0.03)
    assert tally.as_dict()["pushes"] == 2


def test_a_requested_ack_is_returned():
    tally = Tally()
    ack = tally.on_message(TEXT, envelope(data(0, 3, 1, 200), ack=90_071), 2)
    assert ack[:1] == b"\x81"
    assert json.loads(ack[6:]) == {"type": "ack", "ack": 90_071}
    assert tally.acks == 1


def test_a_message_that_is_no_push_is_unexpected():
    tally = Tally()
    assert tally.on_message(TEXT, b'{"type":"error","code":"busy"}', 1) == b""
    assert (tally.unexpected, tally.pushes) == (1, 0)


def test_latencies_can_be_reset():
    tally = Tally()
    tally.on_connected(0.002)
    tally.on_message(TEXT, data(0, 1, 0, 50), 10)
    tally.reset_latencies()
    decoded = tally.as_dict()
    assert decoded["connects"] == []
    assert decoded["latencies"][0] == []
    assert (decoded["connected"], decoded["pushes"]) == (1, 1)

"""What a crowd counts of the pushes it hears."""

import json

import pytest

from bench.cluster.load import histogram
from bench.cluster.load.clientframes import BINARY, TEXT
from bench.cluster.load.tally import Tally, data


def envelope(payload: bytes, ack: int = 0) -> bytes:
    tail = b',"ack":%d' % ack if ack else b""
    return b'{"type":"event","event":"e","data":%b,"push":"0-7"%b}' % (payload, tail)


@pytest.mark.parametrize("size", [0, 100, 200, 5000])
def test_data_is_json_of_the_size(size):
    made = data(1, 7, 1234, size)
    told = json.loads(made)
    assert (told["k"], told["n"], told["due"]) == (1, 7, 1234)
    assert len(made) == size or size == 0


def test_a_push_counts_under_its_number_with_its_lateness():
    tally = Tally()
    assert tally.message(TEXT, envelope(data(1, 7, 1_000, 200)), 3_000) == b""
    assert tally.message(BINARY, data(1, 7, 1_000, 200), 3_000) == b""
    assert tally.got[1][7] == 2
    assert tally.got[1][6] == 0
    assert len(tally.got[0]) == 0
    assert histogram.quantile(tally.latencies[1], 0.5) == pytest.approx(2.0, rel=0.03)
    assert tally.told()["pushes"] == 2


def test_an_ack_that_is_asked_for_is_answered():
    tally = Tally()
    answer = tally.message(TEXT, envelope(data(0, 3, 1, 200), ack=90_071), 2)
    assert answer[:1] == b"\x81"
    assert json.loads(answer[6:]) == {"type": "ack", "ack": 90_071}
    assert tally.acks == 1


def test_what_is_no_push_is_strange_and_not_answered():
    tally = Tally()
    assert tally.message(TEXT, b'{"type":"error","code":"busy"}', 1) == b""
    assert (tally.strange, tally.pushes) == (1, 0)


def test_latencies_can_be_begun_anew():
    tally = Tally()
    tally.hello(0.002)
    tally.message(TEXT, data(0, 1, 0, 50), 10)
    tally.forget_latencies()
    told = tally.told()
    assert told["connects"] == []
    assert told["latencies"][0] == []
    assert (told["connected"], told["pushes"]) == (1, 1)

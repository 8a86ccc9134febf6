import pytest

from homing.command.reconnect import ReconnectBackoff, after_close, after_refusal


@pytest.mark.parametrize("code", [1012, 1011, 4408, None, 1006, 4401])
def test_codes_that_allow_an_immediate_reconnect(code):
    assert after_close(code)[:2] == (True, 0.0)


@pytest.mark.parametrize("code", [1013, 4429])
def test_codes_that_require_five_seconds(code):
    assert after_close(code)[:2] == (True, 5.0)


@pytest.mark.parametrize("code", [1000, 1001, 1002, 1003, 1007, 1008, 1009, 4400, 4403, 4409])
def test_codes_that_forbid_a_reconnect(code):
    assert not after_close(code).reconnect


def test_a_handshake_refused_temporarily_and_permanently():
    assert after_refusal(503)[:2] == (True, 5.0)
    assert after_refusal(401).reconnect
    assert not after_refusal(403).reconnect
    assert not after_refusal(404).reconnect


def test_the_maximum_delay_doubles_up_to_thirty_seconds():
    backoff = ReconnectBackoff()
    assert [backoff.next_delay(1.0) for _ in range(8)] == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]


def test_jitter_chooses_between_zero_and_the_maximum():
    assert ReconnectBackoff().next_delay(0.0) == 0.0
    assert ReconnectBackoff().next_delay(0.5, min_delay=5.0) == 5.25


def test_thirty_seconds_of_connection_reset_the_back_off():
    backoff = ReconnectBackoff()
    for _ in range(5):
        backoff.next_delay(1.0)
    backoff.lost(29.9)
    assert backoff.next_delay(1.0) == 16.0
    backoff.lost(30.0)
    assert backoff.next_delay(1.0) == 0.5


def test_the_gateways_own_words_are_shown():
    assert after_close(4403, "signed out").reason == "removed, or not permitted: signed out"
    assert after_close(1012, "draining").reason == "the gateway is draining: draining"
    assert after_close(1000, "bye").reason == "done"
    assert after_close(4401, "token expired").token_refused

"""The table of endings agrees with protocol.md."""

import pytest

from gateway.close_codes import CLOSE_CODES, ERRORS, Retry, may_retry
from gateway.door import head, upgrade
from gateway.door import listener as door
from gateway.door.values import Refusal


@pytest.mark.parametrize(
    ("codes", "retry"),
    [
        ((1012, 1011, 4408, 1006), Retry.RECONNECT),
        ((1013, 4429), Retry.BACK_OFF),
        ((4401,), Retry.NEW_TOKEN),
        ((1002, 1003, 1007, 1008, 1009, 4400, 4403, 4409), Retry.NEVER),
        ((1000, 1001), Retry.NOT_NEEDED),
    ],
)
def test_who_may_retry(codes, retry):
    assert {may_retry(code) for code in codes} == {retry}


def test_an_unknown_code_is_a_lost_connection():
    assert may_retry(4999) is Retry.RECONNECT


def test_reasons_fit_and_rows_are_told_apart():
    assert len({(row.code, row.reason) for row in CLOSE_CODES}) == len(CLOSE_CODES)
    assert all(len(row.reason.encode()) <= 123 for row in CLOSE_CODES)
    assert {row.reason for row in CLOSE_CODES if row.code == 4408} == {"auth", "heartbeat", "slow"}


def test_every_refusal_of_the_door_is_in_the_table():
    refusals = [
        value for module in (door, head, upgrade) for value in vars(module).values() if isinstance(value, Refusal)
    ]
    assert len(refusals) > 10
    for refusal in refusals:
        assert refusal.status in ERRORS[refusal.code].statuses

"""The table of close codes, its copies (homing.js, the command), and docs/protocol.md, all agree."""

import json
import re
from pathlib import Path

import pytest

from gateway.close_codes import CLOSE_CODES, ERRORS, Retry, may_retry
from gateway.door import admission, handshake, head, upgrade, websocket_endpoint
from gateway.door.values import Refusal
from homing.command.reconnect import after_close, after_refusal

ROOT = Path(__file__).resolve().parents[3]
CODES = sorted({row.code for row in CLOSE_CODES} | {1010, 3000, 4999})  # and some that are unknown
BACK_OFF = 5  # seconds at least
NAMES_THE_CAUSE = {1002, 1003, 1008, 4403}  # the reason on the wire is the violation's, or the caller's own
WORDS = {
    Retry.NOT_NEEDED: "done",
    Retry.NEW_TOKEN: "new token first",
    Retry.NEVER: "do not retry",
    Retry.RECONNECT: "reconnect",
    Retry.BACK_OFF: "back off",
}


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


def test_every_refusal_of_the_listener_is_in_the_table():
    refusals = [
        value
        for module in (admission, handshake, head, upgrade, websocket_endpoint)
        for value in vars(module).values()
        if isinstance(value, Refusal)
    ]
    assert len(refusals) > 10
    for refusal in refusals:
        assert refusal.status in ERRORS[refusal.code].statuses


def homing_js() -> tuple[set[int], dict[int, int]]:
    """The codes after which homing.js stays away, and its least delays in ms by code."""
    text = (ROOT / "gateway" / "door" / "static" / "homing.js").read_text()
    never = re.search(r"NEVER_RECONNECT = new Set\((\[[^\]]*\])\)", text)
    delays = re.search(r"MIN_DELAY_MS = \{([^}]*)\}", text)
    assert never
    assert delays
    pairs = (pair.split(":") for pair in delays[1].replace("_", "").split(","))
    return set(json.loads(never[1])), {int(code): int(ms) for code, ms in pairs}


@pytest.mark.parametrize("code", CODES)
def test_homing_js_follows_the_table(code):
    never, delays = homing_js()
    retry = may_retry(code)
    assert (code in never) is (retry in (Retry.NEVER, Retry.NOT_NEEDED))
    assert delays.get(code, 0) == (BACK_OFF * 1000 if retry is Retry.BACK_OFF else 0)


@pytest.mark.parametrize("code", CODES)
def test_the_command_follows_the_table(code):
    decision, retry = after_close(code), may_retry(code)
    assert decision.reconnect is (retry not in (Retry.NEVER, Retry.NOT_NEEDED))
    assert decision.min_delay == (BACK_OFF if retry is Retry.BACK_OFF else 0.0)


@pytest.mark.parametrize("status", sorted({status for kind in ERRORS.values() for status in kind.statuses}))
def test_the_command_follows_the_table_of_refusals(status):
    decision = after_refusal(status)
    retries = {kind.retry for kind in ERRORS.values() if status in kind.statuses}
    assert decision.reconnect is not (retries <= {Retry.NEVER})
    assert decision.min_delay == (BACK_OFF if Retry.BACK_OFF in retries else 0.0)


@pytest.mark.parametrize("kind", [kind for kind in ERRORS.values() if kind.statuses], ids=lambda kind: kind.code)
def test_the_document_lists_every_refusal(kind):
    page = (ROOT / "docs" / "protocol.md").read_text()
    rows = [line.split("|") for line in page.splitlines() if line.startswith("| ") and f"`{kind.code}`" in line]
    found = [row for row in rows if all(str(status) in row[1] for status in kind.statuses)]
    assert found, kind
    assert WORDS[kind.retry] in found[0][4]


def test_the_document_lists_every_code_and_reason():
    page = (ROOT / "docs" / "protocol.md").read_text()
    table = page[page.index("## Close codes") : page.index("## Heartbeat")]
    for row in CLOSE_CODES:
        lines = [line for line in table.splitlines() if line.startswith("|") and str(row.code) in line.split("|")[1]]
        reason = "" if row.code in NAMES_THE_CAUSE else row.reason
        assert any(WORDS[row.retry] in line and reason in line for line in lines), row

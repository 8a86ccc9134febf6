"""Is it a good WebSocket handshake (docs/promises.md, rows 1-8, 17, 18)?"""

import time

import pytest

from gateway.door.extensions import DeflateParameters
from gateway.door.head import Head, HeadReader
from gateway.door.upgrade import Handshake, check_upgrade
from gateway.door.values import Refusal
from tests.support.heads import head

KNOWN = {"homing.json", "homing.msgpack"}


def check(data: bytes) -> Handshake | Refusal:
    found = HeadReader().feed(data)
    assert isinstance(found, Head)
    return check_upgrade(found, KNOWN)


def refusal(data: bytes) -> tuple[int, dict[str, str]]:
    answer = check(data)
    assert isinstance(answer, Refusal)
    return answer.status, dict(answer.headers)


def test_the_example_of_rfc_6455():
    assert check(head()) == Handshake("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", "")


@pytest.mark.parametrize("method", ["POST", "PUT", "HEAD", "OPTIONS", "get"])
def test_row_01_other_methods(method):
    assert refusal(head(method=method)) == (405, {"Allow": "GET"})


def test_row_02_http_1_0():
    assert refusal(head(version="HTTP/1.0"))[0] == 400


@pytest.mark.parametrize("upgrade", [None, "h2c", "websockets", "web socket", ""])
def test_row_04_no_upgrade_to_websocket(upgrade):
    assert refusal(head(upgrade=upgrade)) == (426, {"Upgrade": "websocket", "Sec-WebSocket-Version": "13"})


@pytest.mark.parametrize("upgrade", ["WebSocket", "h2c, websocket"])
def test_row_04_upgrade_is_a_list_without_case(upgrade):
    assert isinstance(check(head(upgrade=upgrade)), Handshake)


@pytest.mark.parametrize("connection", [None, "keep-alive", "upgraded", ""])
def test_row_05_no_connection_upgrade(connection):
    assert refusal(head(connection=connection))[0] == 400


@pytest.mark.parametrize("connection", ["keep-alive, Upgrade", "UPGRADE", "upgrade,keep-alive"])
def test_row_05_connection_is_a_list_without_case(connection):
    assert isinstance(check(head(connection=connection)), Handshake)


@pytest.mark.parametrize(
    "key",
    [
        None,
        "",
        "not base64",
        "AAAAAAAAAAAAAAAAAAAA",
        "AAAAAAAAAAAAAAAAAAAAAAA=",
        "dGhlIHNhbXBsZSBub25jZQ",
        "%" * 22 + "==",
    ],
)
def test_row_06_keys(key):
    assert refusal(head(sec_websocket_key=key))[0] == 400


def test_row_06_two_keys_are_no_head():
    twice = head(extra="Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n")
    assert HeadReader().feed(twice).status == 400


@pytest.mark.parametrize("version", [None, "8", "12", "13, 8", "013", "13.0", ""])
def test_row_07_versions(version):
    status, headers = refusal(head(sec_websocket_version=version))
    assert (status, headers["Sec-WebSocket-Version"]) == (426, "13")


def test_row_07_two_version_lines():
    assert refusal(head(extra="Sec-WebSocket-Version: 13\r\n"))[0] == 426


@pytest.mark.parametrize("change", [{"content_length": "5"}, {"transfer_encoding": "chunked"}])
def test_row_08_a_body(change):
    assert refusal(head(**change))[0] == 400


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [
        (None, ""),
        ("homing.json", "homing.json"),
        ("chat, homing.msgpack ,homing.json", "homing.msgpack"),
        ("chat", ""),
        ("HOMING.JSON", ""),
        ("", ""),
    ],
)
def test_the_subprotocol_is_the_clients_first_that_is_known(offered, chosen):
    assert check(head(sec_websocket_protocol=offered)).subprotocol == chosen


def test_a_list_of_subprotocols_may_come_in_two_lines():
    lines = "Sec-WebSocket-Protocol: chat\r\nSec-WebSocket-Protocol: homing.json\r\n"
    assert check(head(extra=lines)).subprotocol == "homing.json"


@pytest.mark.parametrize(
    "offered", ["a, a", "a b", 'a"', "homing.json, (", "a, " * 2500 + "\xe9", " , " * 2000 + "a a"]
)
def test_row_17_malformed_subprotocols(offered):
    begin = time.process_time()
    assert refusal(head(sec_websocket_protocol=offered))[0] == 400
    assert time.process_time() - begin < 0.01


@pytest.mark.parametrize("bits", ["7", "16", '"abc"', "8; server_max_window_bits=8", "8; x=1", '\\\\"'])
@pytest.mark.parametrize("window_bits", [(), range(9, 16)], ids=["off", "on"])
def test_row_18_bad_deflate_offers_are_declined(bits, window_bits):
    found = HeadReader().feed(head(sec_websocket_extensions=f"permessage-deflate; server_max_window_bits={bits}"))
    answer = check_upgrade(found, KNOWN, window_bits)
    assert isinstance(answer, Handshake)
    assert answer.deflate is None


def test_a_good_offer_is_declined_where_nothing_is_compressed():
    found = HeadReader().feed(head(sec_websocket_extensions="permessage-deflate"))
    assert check_upgrade(found, KNOWN).deflate is None
    assert check_upgrade(found, KNOWN, (15,)).deflate == DeflateParameters()


def test_row_16_a_header_that_takes_long_to_match():
    begin = time.process_time()
    line = "permessage-deflate; a=" + '\\"' * 4000
    found = HeadReader().feed(head(sec_websocket_extensions=line))
    assert check_upgrade(found, KNOWN, (15,)).deflate is None
    assert HeadReader().feed(head(sec_websocket_extensions='\\"' * 25_000)).status == 431
    assert time.process_time() - begin < 0.01

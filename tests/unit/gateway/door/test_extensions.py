"""permessage-deflate is negotiated strictly; what cannot be accepted is declined (docs/promises.md, rows 16, 18)."""

import time

import pytest

from gateway.door.extensions import MAX_HEADER, DeflateParameters, negotiate, parse_extensions
from gateway.wire.deflate import WINDOW_BITS

ANSWER = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"


def answer(header: str) -> str | None:
    agreed = negotiate(header, WINDOW_BITS)
    return agreed and agreed.answer()


@pytest.mark.parametrize(
    "offer",
    [
        "permessage-deflate",
        " permessage-deflate\t",
        "permessage-deflate; client_max_window_bits",
        "permessage-deflate; client_max_window_bits=8",
        'permessage-deflate;client_max_window_bits="1\\0"',
        "permessage-deflate; server_no_context_takeover; client_no_context_takeover",
        "x-webkit-deflate-frame; a=b, , permessage-deflate",
        'other; note="a_b"; c, permessage-deflate,',
    ],
)
def test_an_offer_without_a_window_of_the_server(offer: str) -> None:
    assert answer(offer) == ANSWER


@pytest.mark.parametrize("bits", WINDOW_BITS)
def test_the_window_of_the_server_is_answered_when_it_was_offered(bits: int) -> None:
    assert answer(f"permessage-deflate; server_max_window_bits={bits}") == f"{ANSWER}; server_max_window_bits={bits}"
    quoted = f'permessage-deflate; client_max_window_bits={bits}; server_max_window_bits="{bits}"'
    assert negotiate(quoted, WINDOW_BITS) == DeflateParameters(bits, True)


def test_the_first_offer_that_can_be_accepted_wins() -> None:
    offers = "permessage-deflate; server_max_window_bits=8, permessage-deflate; server_max_window_bits=10"
    assert negotiate(f"{offers}, permessage-deflate", WINDOW_BITS) == DeflateParameters(10, True)
    assert negotiate(f"permessage-deflate, {offers}", WINDOW_BITS) == DeflateParameters()


ROW_18 = [
    "server_max_window_bits=7",
    "server_max_window_bits=8",  # valid, but zlib has no raw window of 8 bits
    "server_max_window_bits=16",
    "server_max_window_bits=010",
    "server_max_window_bits=abc",
    'server_max_window_bits="abc"',
    "server_max_window_bits=10; server_max_window_bits=10",
    "server_max_window_bits",
    'server_max_window_bits=""',
    "server_max_window_bits=",
    "server_max_window_bits==10",
    "server_max_window_bits=10=10",
    "client_max_window_bits=7",
    "client_max_window_bits=16",
    "client_max_window_bits=abc",
    "client_max_window_bits; client_max_window_bits",
    "server_no_context_takeover=1",
    "client_no_context_takeover=true",
    "server_no_context_takeover; server_no_context_takeover",
    "unknown",
    "Server_No_Context_Takeover",
    "",
    "; client_no_context_takeover",
]


@pytest.mark.parametrize("parameters", ROW_18)
def test_row_18_a_bad_offer_is_declined(parameters: str) -> None:
    assert answer(f"permessage-deflate; {parameters}") is None


@pytest.mark.parametrize("parameters", ROW_18[:5])
def test_row_18_a_bad_offer_does_not_spoil_the_next_one(parameters: str) -> None:
    assert answer(f"permessage-deflate; {parameters}, permessage-deflate") == ANSWER


@pytest.mark.parametrize(
    "header",
    [
        "permessage-deflate=1",
        "=",
        "; a",
        "a b",
        '"permessage-deflate"',
        'a; "b"',
        'a; b="c d"',
        'a; b="c',
        'a; b="c\\',
        "a; b=(c)",
        "a; b=\xe9",
    ],
)
def test_a_malformed_header_declines_all_of_it(header: str) -> None:
    assert parse_extensions(header) == []
    assert answer(f"permessage-deflate, {header}") is None
    assert answer(f"{header}, permessage-deflate") is None


def test_no_extension() -> None:
    assert parse_extensions("") == parse_extensions(" , ,") == []
    assert answer("permessage-bzip2; level=9") is None


@pytest.mark.parametrize(
    "piece", ['\\"', 'a; b="\\', '"\\\\', "a;", "a=", "a,", " \t", '"', 'a; b="c"; ', "permessage-deflate;"]
)
@pytest.mark.parametrize("start", ["", 'a; b="', "permessage-deflate; a="])
def test_row_16_long_headers_are_read_in_one_pass(start: str, piece: str) -> None:
    header = start + piece * (50_000 // len(piece))  # in several lines of a head, which are joined
    began = time.process_time()
    assert answer(header) is None
    assert answer(header[:MAX_HEADER]) is None
    assert time.process_time() - began < 0.01

"""Bytes become messages, or the violation that RFC 6455 names (docs/promises.md, rows 34-44, 48-50)."""

import struct
import tracemalloc

import pytest

from gateway.wire.messages import (
    CloseReceived,
    CompressedReceived,
    Event,
    MessageLimits,
    MessageReader,
    MessageReceived,
    MessageTooLarge,
    PingReceived,
    PongReceived,
    ProtocolViolation,
    first_frame_end,
    receive,
)
from tests.support.frames import frame, goodbye, long_form

LIMITS = MessageLimits(1000, 4)
INFLATE = MessageLimits(1000, 4, inflate=True)
HI = MessageReceived(True, b"hi")


def feed(pieces, limits: MessageLimits = LIMITS) -> tuple[list[Event], MessageReader | None]:
    events: list[Event] = []
    reader = None
    for piece in pieces:
        found, reader = receive(piece, reader, limits)
        events += found
    return events, reader


def whole(data: bytes, limits: MessageLimits = LIMITS) -> list[Event]:
    return feed([data], limits)[0]


def byte_by_byte(data: bytes, limits: MessageLimits = LIMITS) -> list[Event]:
    return feed((data[at : at + 1] for at in range(len(data))), limits)[0]


@pytest.fixture(params=[whole, byte_by_byte], ids=["whole", "byte by byte"])
def read(request):
    return request.param


def broken(events: list[Event]) -> int:
    """The close code of a violation, which is the last thing read."""
    assert isinstance(events[-1], ProtocolViolation)
    assert not any(isinstance(event, ProtocolViolation) for event in events[:-1])
    return events[-1].code


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 999, 1000])
@pytest.mark.parametrize("opcode", [1, 2])
def test_a_message(read, opcode, size):
    payload = b"x" * size
    assert read(frame(payload, opcode)) == [MessageReceived(opcode == 1, payload)]


@pytest.mark.parametrize("size", [65535, 65536])
def test_long_messages(size):
    payload = b"x" * size
    assert whole(frame(payload, 2), MessageLimits()) == [MessageReceived(False, payload)]


def test_many_in_one_read(read):
    data = frame(b"hi") + frame(b"\0", 2) + frame(b"a", 9) + frame(b"", 10) + frame(b"hi")
    assert read(data) == [HI, MessageReceived(False, b"\0"), PingReceived(b"a"), PongReceived(b""), HI]


def test_nothing_is_kept_between_messages():
    assert feed([frame(b"hi"), frame(b"hi") + frame(b"", 9), frame(b"h", fin=False) + frame(b"i", 0)])[1] is None
    assert feed([frame(b"hi")[:-1]])[1] is not None
    assert feed([frame(b"hi", fin=False)])[1] is not None


def test_fragments_with_controls_between(read):
    data = frame(b"h", fin=False) + frame(b"p", 9) + frame(b"", 0, fin=False) + frame(b"q", 10) + frame(b"i", 0)
    assert read(data) == [PingReceived(b"p"), PongReceived(b"q"), HI]


def test_a_character_may_be_cut_by_fragments(read):
    euro = "€".encode()
    assert read(frame(euro[:1], fin=False) + frame(euro[1:], 0)) == [MessageReceived(True, euro)]


def test_after_a_fragmented_message_counting_begins_anew(read):
    message = frame(b"", fin=False) + frame(b"", 0, fin=False) * 2 + frame(b"hi", 0)
    assert read(message * 3) == [HI] * 3


def test_row_34_unmasked(read):
    assert broken(read(frame(b"hi") + frame(b"hi", key=None))) == 1002
    assert broken(whole(frame(b"hi", key=None)[:2])) == 1002  # two bytes show it


@pytest.mark.parametrize("rsv", [1, 2, 4, 7])
@pytest.mark.parametrize("opcode", [0, 1, 2, 8, 9])
def test_row_35_reserved_bits(read, rsv, opcode):
    before = frame(b"h", fin=False) if opcode == 0 else b""
    assert broken(read(before + frame(b"", opcode, rsv=rsv))) == 1002


@pytest.mark.parametrize("rsv", [2, 4, 5, 6, 7])
@pytest.mark.parametrize("opcode", [0, 1, 2, 8, 9])
def test_row_35_other_reserved_bits_where_messages_may_be_compressed(read, rsv, opcode):
    before = frame(b"h", fin=False, rsv=4) if opcode == 0 else b""
    if (rsv, opcode) not in ((4, 1), (4, 2)):
        assert broken(read(before + frame(b"", opcode, rsv=rsv), INFLATE)) == 1002


def test_a_compressed_message_is_not_looked_into(read):
    assert read(frame(b"\xff\x00", rsv=4), INFLATE) == [CompressedReceived(True, b"\xff\x00")]
    pieces = frame(b"\xff", 2, fin=False, rsv=4) + frame(b"p", 9) + frame(b"\x00", 0, fin=False) + frame(b"", 0)
    assert read(pieces, INFLATE) == [PingReceived(b"p"), CompressedReceived(False, b"\xff\x00")]
    assert read(pieces + frame(b"hi"), INFLATE)[-1] == HI
    assert broken(read(pieces + frame(b"\xff", fin=False), INFLATE)) == 1007  # it is not compressed


def test_a_compressed_message_may_be_as_long_as_one_of_the_limit_that_does_not_shrink(read):
    longest = INFLATE.max_compressed()
    assert 1125 < longest < 1200
    payload = bytes(longest)
    assert read(frame(payload, rsv=4), INFLATE) == [CompressedReceived(True, payload)]
    assert broken(read(frame(payload + b"x", rsv=4), INFLATE)) == 1009
    assert broken(read(frame(payload, rsv=4, fin=False) + frame(b"x", 0), INFLATE)) == 1009
    assert read(frame(payload + b"x", rsv=4) + frame(b"hi"), MessageLimits(1000, discard=2000, inflate=True)) == [
        MessageTooLarge(longest + 1),
        HI,
    ]


@pytest.mark.parametrize("opcode", [3, 4, 5, 6, 7, 11, 12, 13, 14, 15])
def test_row_36_opcodes(read, opcode):
    assert broken(read(frame(b"", opcode))) == 1002


@pytest.mark.parametrize("opcode", [8, 9, 10])
def test_row_37_control_frames(read, opcode):
    assert broken(read(frame(b"", opcode, fin=False))) == 1002
    assert broken(read(frame(b"x" * 126, opcode))) == 1002


def test_row_38_fragments_out_of_place(read):
    assert broken(read(frame(b"hi", 0))) == 1002
    assert broken(read(frame(b"h", fin=False) + frame(b"i", 1))) == 1002
    assert broken(read(frame(b"h", fin=False) + frame(b"i", 2))) == 1002


@pytest.mark.parametrize(("size", "form"), [(0, 126), (125, 126), (0, 127), (125, 127), (65535, 127)])
def test_row_39_lengths_that_are_not_minimal(read, size, form):
    assert broken(read(long_form(size, form), MessageLimits())) == 1002


@pytest.mark.parametrize("size", [2**63, 2**64 - 1, 2**63 - 1])
def test_row_40_absurd_lengths_allocate_nothing(size):
    tracemalloc.start()
    assert broken(whole(long_form(size, 127))) in (1002, 1009)
    assert tracemalloc.get_traced_memory()[1] < 100_000
    tracemalloc.stop()


def test_row_41_a_length_over_the_limit_is_refused_before_its_payload(read):
    assert broken(read(long_form(1001, 126)[:4])) == 1009
    assert broken(read(frame(b"x" * 1001, 2))) == 1009
    assert broken(whole(long_form(65536, 127)[:10])) == 1009


def test_row_42_fragments_that_sum_to_more(read):
    assert broken(read(frame(b"x" * 500, fin=False) + frame(b"x" * 501, 0))) == 1009
    assert read(frame(b"x" * 500, fin=False) + frame(b"x" * 500, 0)) == [MessageReceived(True, b"x" * 1000)]


@pytest.mark.parametrize("piece", [b"", b"x"])
def test_row_43_too_many_fragments(piece):
    limits = MessageLimits()
    good = frame(piece, fin=False) + frame(piece, 0, fin=False) * (limits.max_fragments - 1)
    assert feed([good], limits)[0] == []
    assert broken(whole(good + frame(piece, 0), limits)) == 1008
    unlimited = MessageLimits(max_fragments=0)
    assert whole(good * 1 + frame(piece, 0, fin=False) * 500 + frame(b"", 0), unlimited) == [
        MessageReceived(True, piece * 628)
    ]


def test_row_44_a_dribbled_message_costs_its_size():
    data = frame(b"x" * 65536, 2)
    tracemalloc.start()
    assert byte_by_byte(data[:20_000], MessageLimits()) == []
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 3 * 20_000


@pytest.mark.parametrize(
    "text",
    [b"\xed\xa0\x80", b"\xc0\xaf", b"\xe2\x82", b"\xf4\x90\x80\x80", b"\xff", b"ok\x80", b"\xf8\x88\x80\x80\x80"],
    ids=["surrogate", "overlong", "cut", "too large", "never", "alone", "five"],
)
def test_row_48_text_that_is_not_utf8(read, text):
    assert broken(read(frame(text))) == 1007
    assert broken(read(frame(b"ok", fin=False) + frame(text, 0))) == 1007
    assert read(frame(text, 2)) == [MessageReceived(False, text)]


def test_row_48_is_judged_before_the_message_is_whole():
    assert broken(whole(frame(b"\xff", fin=False))) == 1007
    assert broken(whole(frame(b"\xff" + b"x" * 50)[:-40])) == 1007


@pytest.mark.parametrize("code", [1000, 1001, 1002, 1003, 1007, 1011, 1012, 1014, 3000, 4408, 4999])
def test_goodbyes(read, code):
    assert read(goodbye(code, b"bye \xc3\xa9")) == [CloseReceived(code, "bye é")]


def test_an_empty_goodbye(read):
    assert read(goodbye(None)) == [CloseReceived(None, "")]


@pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535])
def test_row_49_codes_that_may_not_be_sent(read, code):
    assert broken(read(goodbye(code))) == 1002


def test_row_49_goodbyes_that_are_malformed(read):
    assert broken(read(frame(b"\x03", 8))) == 1002
    assert broken(read(goodbye(1000, b"\xff"))) == 1007


@pytest.mark.parametrize("last", [goodbye(), frame(b"", 3)], ids=["goodbye", "violation"])
def test_row_50_nothing_is_read_after_the_end(read, last):
    events = read(last + frame(b"hi") + frame(b"", 9) + struct.pack(">I", 7))
    assert len(events) == 1


def test_a_message_over_the_limit_is_discarded_as_it_arrives_and_the_next_one_is_read(read):
    limits = MessageLimits(100, discard=1000)
    assert read(frame(b"x" * 1000) + frame(b"hi"), limits) == [MessageTooLarge(1000), HI]
    fragments = frame(b"x" * 60, fin=False) + frame(b"p", 9) + frame(b"x" * 60, 0)
    assert read(fragments + frame(b"hi"), limits) == [PingReceived(b"p"), MessageTooLarge(120), HI]
    assert broken(read(frame(b"x" * 1001), limits)) == 1009


def test_nothing_of_a_message_that_is_discarded_is_kept():
    events, reader = feed([frame(b"x" * 1000)[:-1]], MessageLimits(100, discard=1000))
    assert events == []
    assert reader is not None
    assert (reader.held, reader.arrived) == (0, 999)


@pytest.mark.parametrize("size", [0, 125, 126, 65_535, 65_536])
def test_where_the_first_frame_ends(size: int) -> None:
    whole = frame(b"x" * size)
    assert first_frame_end(whole + frame(b"next")) == len(whole)

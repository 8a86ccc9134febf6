import pytest

from observability import traceparent as tp

TRACE = "0af7651916cd43dd8448eb211c80319c"
SPAN = "b7ad6b7169203331"
GIVEN = f"00-{TRACE}-{SPAN}-01"


@pytest.mark.parametrize(
    ("given", "read"),
    [
        (GIVEN, GIVEN),
        ("", ""),
        (f"01-{TRACE}-{SPAN}-01", GIVEN),  # a later version's first fields are ours
        (f"cc-{TRACE}-{SPAN}-01-what-comes-later", GIVEN),
        (f"{GIVEN}-more", ""),  # but version 00 ends here
        (f"{GIVEN}0", ""),
        (f"cc-{TRACE}-{SPAN}-01.x", ""),
        (f"ff-{TRACE}-{SPAN}-01", ""),
        (GIVEN.upper(), ""),
        (f"00-{'0' * 32}-{SPAN}-01", ""),
        (f"00-{TRACE}-{SPAN}-1", ""),
        (f"{GIVEN}\n", ""),
    ],
)
def test_a_traceparent_as_given(given, read):
    assert tp.checked(given) == read


@pytest.mark.parametrize(
    ("traceparent", "trace_id", "read"),
    [
        (GIVEN, "f" * 32, GIVEN),
        ("nonsense", TRACE, f"00-{TRACE}-{tp.NO_SPAN}-01"),
        ("", TRACE, f"00-{TRACE}-{tp.NO_SPAN}-01"),
        ("", TRACE.upper(), ""),
        ("", "0" * 32, ""),
        ("", TRACE[1:], ""),
        ("", "", ""),
    ],
)
def test_x_trace_id_counts_where_there_is_no_traceparent(traceparent, trace_id, read):
    assert tp.from_headers(traceparent, trace_id) == read


@pytest.mark.parametrize(("flags", "sampled"), [("00", False), ("01", True), ("02", False), ("03", True), ("ff", True)])
def test_only_the_sampled_bit_counts(flags, sampled):
    assert tp.sampled(GIVEN[:-2] + flags) is sampled


def test_its_parts():
    assert (tp.trace_id_of(GIVEN), tp.span_id_of(GIVEN)) == (TRACE, SPAN)
    assert (tp.trace_id_of(""), tp.span_id_of(""), tp.sampled("")) == ("", "", False)
    assert tp.span_id_of(tp.from_headers("", TRACE)) == ""

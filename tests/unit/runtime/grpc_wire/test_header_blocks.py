"""Header blocks of a peer with a table: a block that is remembered means what a decoder would say."""

from hpack import Encoder
from hypothesis import given
from hypothesis import strategies as st

from runtime.grpc_wire.frames import END_HEADERS, HEADERS, Frame
from runtime.grpc_wire.header_blocks import HeaderBlockReader, HeaderFields, encode_headers

NAMES = st.sampled_from([b":path", b"content-type", b"a", b"b"])
VALUES = st.sampled_from([b"", b"/x", b"application/grpc", b"y" * 50])
FIELDS = st.lists(st.tuples(NAMES, VALUES), max_size=5)


def read(reader: HeaderBlockReader, block: bytes) -> HeaderFields:
    result = reader.headers(Frame(HEADERS, END_HEADERS, 1, block))
    assert result is not None
    return result[0]


@given(st.lists(st.tuples(FIELDS, st.booleans()), max_size=30), st.sampled_from([0, 60, 4096]))
def test_any_blocks_are_read_as_they_were_meant(requests: list[tuple[HeaderFields, bool]], table: int) -> None:
    encoder, reader = Encoder(), HeaderBlockReader()
    encoder.header_table_size = table
    for fields, accepted in requests:
        assert read(reader, encoder.encode(fields, huffman=accepted)) == fields
        if accepted:
            reader.remember()


def test_a_block_is_remembered_until_the_table_may_have_changed() -> None:
    encoder, reader = Encoder(), HeaderBlockReader()
    fields = [(b"a", b"1"), (b"b", b"2")]
    seen = []
    for request in (fields, fields, fields, [(b"c", b"3")], fields):
        read(reader, encoder.encode(request))
        seen.append(reader.remembered)
        reader.remember()
    assert seen == [False, False, True, False, False]


def test_long_fields_are_encoded_as_short_ones_are() -> None:
    fields = [(b"authorization", b"t" * size) for size in (10, 63, 64, 20_000)]
    assert read(HeaderBlockReader(), encode_headers(fields)) == fields

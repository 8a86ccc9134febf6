"""A head's verdict depends on its bytes, never on how they were cut."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from gateway.door.head import Head, HeadReader
from gateway.door.values import Refusal
from tests.support.heads import head

LINES = st.sampled_from(
    [
        "X: a\r\n",
        "x:\t b \r\n",
        "Via: one\r\n",
        "Via: two\r\n",
        "X: a\n",
        "X: a\r",
        "X: \x00\r\n",
        " folded\r\n",
        "X : a\r\n",
        "Host: b\r\n",
        "Content-Length: 5\r\n",
        "Transfer-Encoding: chunked\r\n",
        "\r\n",
        "\n",
        f"Y: {'y' * 8190}\r\n",
        f"Y: {'y' * 8189}\r\n",
        f"Y: a\r{'y' * 8200}\r\n",
        "Z: z\r\n" * 30,
        f"W: {'w' * 8000}\r\n" * 5,
    ]
)
TARGETS = st.sampled_from(
    ["/ws", "/", "*", "/ws?a=b", "/ws?a=%z", "/" + "u" * 8191, "/" + "u" * 8192, "/" + "u" * 8300]
)
VERSIONS = st.sampled_from(["HTTP/1.1", "HTTP/1.1", "HTTP/1.0", "HTTP/9.9", "HTTP/1.1 ", "HTTP/1.1\rX"])
HEADS = st.builds(
    lambda target, version, lines: head(target, version=version, extra="".join(lines)),
    TARGETS,
    VERSIONS,
    st.lists(LINES, max_size=6),
)


def read(pieces: list[bytes]) -> tuple[Head | Refusal | None, bytes]:
    reader = HeadReader()
    for at, piece in enumerate(pieces):
        verdict = reader.feed(piece)
        if verdict is not None:
            return verdict, reader.rest + b"".join(pieces[at + 1 :]) if isinstance(verdict, Head) else b""
    return None, b""


def cut(data: bytes, places: list[int]) -> list[bytes]:
    edges = sorted({0, len(data), *(place % (len(data) + 1) for place in places)})
    return [data[begin:end] for begin, end in itertools.pairwise(edges)]


@given(HEADS, st.binary(max_size=20), st.lists(st.integers(min_value=0), max_size=12))
def test_any_cut_gives_the_same_verdict(data, behind, places):
    assert read(cut(data + behind, places)) == read([data + behind])


@given(HEADS)
def test_cut_around_every_line_end_gives_the_same_verdict(data):
    places = [at for at, byte in enumerate(data) if byte in b"\r\n"]
    edges = sorted({0, len(data), *places, *(place + 1 for place in places)})
    assert read([data[begin:end] for begin, end in itertools.pairwise(edges)]) == read([data])


@given(st.binary(max_size=300), st.lists(st.integers(min_value=0), max_size=12))
def test_noise_gives_a_verdict_and_never_an_error(noise, places):
    data = head()[:-2] + noise
    assert read(cut(data, places)) == read([data])
    assert read(cut(noise, places)) == read([noise])

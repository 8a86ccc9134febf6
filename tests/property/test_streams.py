"""Our HTTP/2 against h2's: however the bytes are split, whatever the windows are."""

from collections import defaultdict

import h2.config
import h2.connection
import h2.events
import h2.settings
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.grpc_wire.connection import Http2Connection
from runtime.grpc_wire.events import ConnectionFailed, DataReceived, HeadersReceived
from runtime.grpc_wire.flow import Http2Limits
from runtime.grpc_wire.messages import GrpcMessageReader, encode_message
from runtime.grpc_wire.status import RESPONSE_HEADERS, request_headers, trailers

REQUEST = request_headers("/x.Y/Z", "host:1")
SMALL = Http2Limits(stream_window=70_000, max_concurrent_streams=1, unfinished=30_000, max_frame_size=16384)
PIECES = st.lists(st.sampled_from([1, 8, 9, 10, 700, 16_393, 40_000]), min_size=1, max_size=6).filter(
    lambda p: max(p) > 400
)
SIZES = st.lists(st.integers(0, 90_000), max_size=4)


def split(data: bytes, sizes: list[int]) -> list[bytes]:
    """The data in pieces of these sizes, over and over."""
    pieces, at, turn = [], 0, 0
    while at < len(data):
        size = sizes[turn % len(sizes)]
        pieces.append(data[at : at + size])
        at += size
        turn += 1
    return pieces


class Side:
    """Our side of a connection, and what it has received."""

    def __init__(self, client: bool, limits: Http2Limits = SMALL) -> None:
        self.connection = Http2Connection(client, limits)
        self.data: dict[int, bytes] = defaultdict(bytes)
        self.events: list[object] = []

    def receive(self, data: bytes, sizes: list[int]) -> None:
        for piece in split(data, sizes):
            for event in self.connection.receive_data(piece):
                assert not isinstance(event, ConnectionFailed), event
                self.events.append(event)
                if isinstance(event, DataReceived):
                    self.data[event.stream] += event.data
                    self.connection.handle_data(event.stream, len(event.data))


def make_h2(client: bool, window: int, largest: int) -> h2.connection.H2Connection:
    peer = h2.connection.H2Connection(h2.config.H2Configuration(client_side=client, header_encoding=None))
    codes = h2.settings.SettingCodes
    values = {codes.INITIAL_WINDOW_SIZE: window, codes.MAX_FRAME_SIZE: largest}
    peer.local_settings = h2.settings.Settings(client=client, initial_values=values)
    peer.max_inbound_frame_size = largest
    peer.initiate_connection()
    return peer


def exchange_settings(side: "Side", peer: h2.connection.H2Connection, sizes: list[int]) -> None:
    """h2 enforces its windows from the first byte, so both sides have them before a stream is opened."""
    side.receive(peer.data_to_send(), sizes)
    for piece in split(side.connection.data_to_send(), sizes):
        peer.receive_data(piece)
    side.receive(peer.data_to_send(), sizes)


def receive_h2(peer: h2.connection.H2Connection, data: bytes, got: dict[int, bytes]) -> None:
    """h2 raises for whatever violates its windows or HTTP/2."""
    for event in peer.receive_data(data) if data else ():
        if isinstance(event, h2.events.DataReceived):
            got[event.stream_id] += event.data
            peer.acknowledge_received_data(event.flow_controlled_length, event.stream_id)


def send_h2(peer: h2.connection.H2Connection, stream: int, left: bytearray, sizes: list[int]) -> None:
    while left and (room := min(peer.local_flow_control_window(stream), peer.max_outbound_frame_size, max(sizes))) > 0:
        peer.send_data(stream, bytes(left[:room]))
        del left[:room]


@settings(max_examples=40, deadline=None)
@given(SIZES, SIZES, PIECES, st.integers(3_000, 200_000), st.sampled_from([16384, 20_000, 1 << 20]))
def test_a_client_of_ours_and_a_server_of_h2(ours, theirs, sizes, window, largest):
    side, peer = Side(True), make_h2(False, window, largest)
    exchange_settings(side, peer, sizes)
    stream = side.connection.open_stream(REQUEST)
    sent, got = b"", defaultdict(bytes)
    back = b"".join(bytes([number % 251]) * size for number, size in enumerate(theirs))
    left, started = bytearray(back), False
    for number, size in enumerate(ours):
        message = encode_message(bytes([number % 256]) * size)
        sent += message
        side.connection.send_data(stream, message)
    side.connection.end_stream(stream)
    for _ in range(10_000):
        out = side.connection.data_to_send()
        for piece in split(out, sizes):
            receive_h2(peer, piece, got)
        if not started:
            peer.send_headers(stream, RESPONSE_HEADERS)
            started = True
        send_h2(peer, stream, left, sizes)
        answer = peer.data_to_send()
        side.receive(answer, sizes)
        if not out and not answer:
            break
    assert (got[stream], side.data[stream], side.connection.queued(stream)) == (sent, back, 0)
    peer.send_headers(stream, trailers(0, ""), end_stream=True)
    side.receive(peer.data_to_send(), sizes)
    assert side.events[-1] == HeadersReceived(stream, trailers(0, ""), True)


@settings(max_examples=40, deadline=None)
@given(SIZES, SIZES, PIECES, st.integers(3_000, 200_000), st.sampled_from([16384, 20_000, 1 << 20]))
def test_a_server_of_ours_and_a_client_of_h2(ours, theirs, sizes, window, largest):
    side, peer = Side(False), make_h2(True, window, largest)
    exchange_settings(side, peer, sizes)
    peer.send_headers(1, REQUEST)
    got = defaultdict(bytes)
    asked = b"".join(bytes([number % 251]) * size for number, size in enumerate(theirs))
    left = bytearray(asked)
    side.receive(peer.data_to_send(), sizes)
    side.connection.send_headers(1, RESPONSE_HEADERS)
    sent = b""
    for number, size in enumerate(ours):
        sent += encode_message(bytes([number % 256]) * size)
        side.connection.send_data(1, encode_message(bytes([number % 256]) * size))
    for _ in range(10_000):
        send_h2(peer, 1, left, sizes)
        asking = peer.data_to_send()
        side.receive(asking, sizes)
        out = side.connection.data_to_send()
        for piece in split(out, sizes):
            receive_h2(peer, piece, got)
        if not out and not asking:
            break
    assert (got[1], side.data[1]) == (sent, asked)
    side.connection.end_stream(1, trailers(3, "h\u00e9 %"))
    events = peer.receive_data(side.connection.data_to_send())
    assert [event.headers for event in events if isinstance(event, h2.events.TrailersReceived)] == [
        [(b"grpc-status", b"3"), (b"grpc-message", b"h%C3%A9 %25")]
    ]


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 60_000)), max_size=12),
    PIECES,
    st.lists(st.integers(0, 80_000), max_size=3),
)
def test_settings_that_change_under_way_never_break_a_window(sends, sizes, windows):
    """The peer changes its windows while data is queued; h2 raises where we send more than it allows."""
    side, peer = Side(True, Http2Limits()), make_h2(False, 30_000, 16384)
    exchange_settings(side, peer, sizes)
    streams = [side.connection.open_stream(REQUEST) for _ in range(3)]
    receive_h2(peer, side.connection.data_to_send(), defaultdict(bytes))
    got, sent = defaultdict(bytes), defaultdict(bytes)
    changes = list(windows)
    side.receive(peer.data_to_send(), sizes)
    for index, size in sends:
        sent[streams[index]] += encode_message(b"x" * size)
        side.connection.send_data(streams[index], encode_message(b"x" * size))
        if changes:
            peer.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: changes.pop()})
            receive_h2(peer, side.connection.data_to_send(), got)  # under way before the change is known
            side.receive(peer.data_to_send(), sizes)
    peer.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 50_000})
    for _ in range(1000):
        answer = peer.data_to_send()
        side.receive(answer, sizes)
        out = side.connection.data_to_send()
        receive_h2(peer, out, got)
        if not answer and not out:
            break
    assert got == sent


@settings(max_examples=40, deadline=None)
@given(st.lists(st.binary(max_size=300), max_size=10), PIECES)
def test_messages_are_read_however_they_are_split(messages, sizes):
    reader = GrpcMessageReader()
    data = b"".join(map(encode_message, messages))
    small = [size % 50 + 1 for size in sizes]
    got = []
    for piece in split(data, small):
        reader.feed(piece)
        got += iter(reader.next_message, None)
    assert got == messages
    assert (reader.handled, reader.missing) == (len(data), 0)
    assert not reader.incomplete


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200), st.booleans())
def test_random_bytes_end_at_most_the_connection(data, client):
    """Any bytes: events, the last perhaps ConnectionFailed, never an exception."""
    side = Http2Connection(client)
    opening = b"" if client else b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    events = side.receive_data(opening + b"\x00\x00\x00\x04\x00\x00\x00\x00\x00" + data)
    events += side.receive_data(data)
    assert sum(isinstance(event, ConnectionFailed) for event in events) <= 1

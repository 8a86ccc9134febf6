"""Core: events of an HTTP/2 connection: what the received bytes mean."""

from typing import NamedTuple

from runtime.grpc_wire.header_blocks import HeaderFields


class HeadersReceived(NamedTuple):
    """The headers of a request or response; with `end_stream`, perhaps trailers."""

    stream: int
    headers: HeaderFields
    end_stream: bool


class HeadersRefused(NamedTuple):
    """A request whose headers are larger than we have announced: answer it, and read no more of it."""

    stream: int


class DataReceived(NamedTuple):
    """Data of a stream, without padding. `handle_data` gives its bytes back to the peer."""

    stream: int
    data: bytes
    end_stream: bool


class StreamReset(NamedTuple):
    """The stream was reset: by the peer, or by us after a stream error of the peer (RFC 9113 §5.4.2)."""

    stream: int
    code: int


class StreamDrained(NamedTuple):
    """All data that was queued on the stream has been sent."""

    stream: int


class GoAwayReceived(NamedTuple):
    """The peer opens no new streams, and has not processed those above `last_stream`."""

    last_stream: int
    code: int
    debug_data: bytes


class ConnectionFailed(NamedTuple):
    """The peer has violated HTTP/2: write `data_to_send`, which has the GOAWAY, and close."""

    code: int
    reason: str


Http2Event = (
    HeadersReceived | HeadersRefused | DataReceived | StreamReset | StreamDrained | GoAwayReceived | ConnectionFailed
)

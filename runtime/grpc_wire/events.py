"""What one connection hears, as values."""

from typing import NamedTuple

from runtime.grpc_wire.headerblocks import Headers


class HeadersReceived(NamedTuple):
    """A request, a response's head, or trailers (when `ended`)."""

    stream: int
    headers: Headers
    ended: bool


class DataReceived(NamedTuple):
    """Some bytes; `consumed` gives their credit back."""

    stream: int
    data: bytes
    size: int  # what it cost of the window: padding counts
    ended: bool


class StreamReset(NamedTuple):
    """The stream is over, by the peer or by its own offence."""

    stream: int
    code: int


class StreamDrained(NamedTuple):
    """All that was queued on the stream has gone into `take`."""

    stream: int


class GoAwayReceived(NamedTuple):
    """The peer takes no new streams, and has not looked at those above `last`."""

    last: int
    code: int
    why: bytes


class ConnectionFailed(NamedTuple):
    """The connection is over: write `take` and close."""

    code: int
    why: str


Event = HeadersReceived | DataReceived | StreamReset | StreamDrained | GoAwayReceived | ConnectionFailed

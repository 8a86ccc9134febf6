"""Shell: dials a gRPC server for one bidirectional stream."""

import asyncio

from runtime.grpc_wire.call import Call, StreamHandler
from runtime.grpc_wire.events import GoAwayReceived, HeadersReceived, Http2Event
from runtime.grpc_wire.flow import Http2Limits
from runtime.grpc_wire.header_blocks import HeaderFields
from runtime.grpc_wire.http2_protocol import Http2Protocol
from runtime.grpc_wire.status import (
    UNAVAILABLE,
    StreamEnded,
    request_headers,
    status_from_headers,
    status_from_trailers,
)


class ClientProtocol(Http2Protocol):
    """A client's connection, closed at the end of its one stream."""

    def __init__(self, limits: Http2Limits) -> None:
        super().__init__(True, limits)

    def on_event(self, event: Http2Event) -> None:
        match event:
            case HeadersReceived(stream, headers, end_stream):
                call = self.calls.get(stream)
                how = status_from_trailers(headers) if end_stream else status_from_headers(headers)
                if call is not None and how is not None:
                    call.on_trailers(how)
            case GoAwayReceived(last_stream, code, debug_data):
                for call in [call for call in self.calls.values() if call.stream > last_stream]:
                    text = debug_data.decode(errors="replace")
                    call.on_end(StreamEnded(UNAVAILABLE, f"the server took no streams: {text or code}"))
            case _:
                super().on_event(event)

    def on_call_end(self, call: Call) -> None:
        super().on_call_end(call)
        if self.write_paused:
            self.abort()
        else:
            self.close("the stream is over")


async def dial(
    address: str,
    path: str,
    handler: StreamHandler,
    limits: Http2Limits | None = None,
    metadata: HeaderFields | None = None,
) -> Call:
    """Connect to `address`, host:port, and open the stream `path`, which `handler` receives.

    OSError: no connection. A stream that the server refuses ends by `on_end`. `Call.cancel` closes the connection.
    """
    host, _, port = address.rpartition(":")
    loop = asyncio.get_running_loop()
    protocol = ClientProtocol(limits or Http2Limits())
    stream = protocol.connection.open_stream([*request_headers(path, address), *(metadata or ())])
    call = protocol.calls[stream] = Call(protocol, stream, client=True)
    call.handler = handler
    try:
        await loop.create_connection(lambda: protocol, host.strip("[]"), int(port))
    except ValueError as error:  # UnicodeError included: a host that IDNA cannot encode, or no port
        raise OSError(f"{address} cannot be dialled: {error}") from None
    return call

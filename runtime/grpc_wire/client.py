"""Shell: dial a gRPC server and open one bidi stream."""

import asyncio

from runtime.grpc_wire.call import Call, Http2Protocol, StreamHandler
from runtime.grpc_wire.events import Event, GoAwayReceived, HeadersReceived
from runtime.grpc_wire.flow import Http2Limits
from runtime.grpc_wire.status import UNAVAILABLE, StreamEnded, judge_head, judge_trailers, request


class ClientProtocol(Http2Protocol):
    """A connection that we have opened; it lives as long as its one stream."""

    def __init__(self, limits: Http2Limits) -> None:
        super().__init__(True, limits)

    def on_event(self, event: Event) -> None:
        match event:
            case HeadersReceived(stream, headers, ended):
                call = self.calls.get(stream)
                how = judge_trailers(headers) if ended else judge_head(headers)
                if call is not None and how is not None:
                    call.over(how)
            case GoAwayReceived(last, code, why):
                for call in [call for call in self.calls.values() if call.stream > last]:
                    text = why.decode(errors="replace")
                    call.over(StreamEnded(UNAVAILABLE, f"the server took no streams: {text or code}"))
            case _:
                super().on_event(event)

    def on_call_end(self, call: Call) -> None:
        super().on_call_end(call)
        if self.full:
            self.abort()
        else:
            self.close("the stream is over")


async def dial(address: str, path: str, handler: StreamHandler, limits: Http2Limits | None = None) -> Call:
    """Connect to `host:port` and open the stream `path`; what comes of it, `listener` hears.

    Raises OSError when there is no connection. A server that refuses the stream is heard as its end. Whoever is done
    cancels the call, which closes the connection.
    """
    host, _, port = address.rpartition(":")
    loop = asyncio.get_running_loop()
    wire = ClientProtocol(limits or Http2Limits())
    stream = wire.connection.open(request(path, address))
    call = wire.calls[stream] = Call(wire, stream, client=True)
    call.handler = handler
    await loop.create_connection(lambda: wire, host.strip("[]"), int(port))
    return call

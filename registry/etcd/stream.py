"""A bidirectional stream to etcd, whose every end is an error of the store port."""

import asyncio
from collections import deque
from typing import Generic, TypeVar

from google.protobuf.message import DecodeError, Message

from registry.etcd.client import EtcdClient, Method
from registry.store import StoreUnavailable
from runtime.grpc_wire.call import Call
from runtime.grpc_wire.header_blocks import HeaderFields
from runtime.grpc_wire.status import INTERNAL, OK, StreamEnded

MAX_UNREAD = 64  # responses that wait for their reader, before reading from the stream is paused

_Request = TypeVar("_Request", bound=Message)
_Response = TypeVar("_Response", bound=Message)


class EtcdStream(Generic[_Request, _Response]):
    """Requests out, responses in. After any error the stream is of no use: cancel it."""

    def __init__(self, client: EtcdClient, response: type[Message]) -> None:
        self.call: Call  # set before the first event
        self._client = client
        self._response = response
        self._responses: deque[Message] = deque()
        self._changed = asyncio.Event()
        self._ended: StreamEnded | None = None

    def write(self, request: _Request) -> None:
        """Send a request. A stream that has ended raises the error of its end, see `EtcdClient.stream_error`."""
        if self._ended is not None:
            raise self._error(self._ended)
        self.call.send(request.SerializeToString())

    async def read(self) -> _Response:
        """The next response. Errors as those of `write`."""
        while not self._responses:
            if self._ended is not None:
                raise self._error(self._ended)
            self._changed.clear()
            await self._changed.wait()
        response: _Response = self._responses.popleft()  # type: ignore[assignment]  # decoded as this type
        if not self._responses:
            self.call.resume_reading()
        return response

    def cancel(self) -> None:
        """End the stream."""
        self.call.cancel()

    def _error(self, how: StreamEnded) -> Exception:
        if how.status == OK:
            return StoreUnavailable(f"etcd at {self._client.address} has ended the stream")
        return self._client.stream_error(how)

    # A runtime.grpc_wire.call.StreamHandler

    def on_message(self, message: bytes) -> None:
        try:
            self._responses.append(self._response.FromString(message))
        except DecodeError:
            raise StreamEnded(INTERNAL, f"a message that is no {self._response.__name__}") from None
        if len(self._responses) >= MAX_UNREAD:
            self.call.pause_reading()
        self._changed.set()

    def on_writable(self) -> None:
        """Requests are few and small."""

    def on_half_close(self) -> None:
        """Only servers receive a half-close."""

    def on_end(self, how: StreamEnded) -> None:
        self._ended = how
        self._changed.set()


async def open_stream(
    client: EtcdClient, method: Method, metadata: HeaderFields | None = None
) -> EtcdStream[_Request, _Response]:
    """A new stream of this method; its headers are sent with the first request."""
    stream: EtcdStream[_Request, _Response] = EtcdStream(client, method.response)
    stream.call = await client.stream(method, stream, metadata or [])
    return stream

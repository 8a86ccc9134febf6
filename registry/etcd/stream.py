"""One bidi stream to etcd, whose every way to end is an error of the store port."""

import asyncio
from collections import deque
from typing import Generic, TypeVar

from google.protobuf.message import DecodeError, Message

from registry.etcd.client import EtcdClient, Method
from registry.store import StoreAway
from runtime.grpc_wire.call import Call
from runtime.grpc_wire.headerblocks import Headers
from runtime.grpc_wire.status import INTERNAL, OK, StreamEnded

UNREAD = 64  # answers that wait for their reader before the stream is read on

_Question = TypeVar("_Question", bound=Message)
_Answer = TypeVar("_Answer", bound=Message)


class EtcdStream(Generic[_Question, _Answer]):
    """Questions out, answers in. After any error it is of no more use: cancel it."""

    def __init__(self, client: EtcdClient, answer: type[Message]) -> None:
        self.call: Call  # set before anything can be heard
        self._client = client
        self._kind = answer
        self._answers: deque[Message] = deque()
        self._some = asyncio.Event()
        self._over: StreamEnded | None = None

    def write(self, question: _Question) -> None:
        """Send; StoreAway when the stream has ended."""
        if self._over is not None:
            raise self._ended(self._over)
        self.call.send(question.SerializeToString())

    async def read(self) -> _Answer:
        """The next answer; StoreAway when the stream has ended."""
        while not self._answers:
            if self._over is not None:
                raise self._ended(self._over)
            self._some.clear()
            await self._some.wait()
        answer: _Answer = self._answers.popleft()  # type: ignore[assignment]  # read as this kind
        if not self._answers:
            self.call.resume_reading()
        return answer

    def cancel(self) -> None:
        """End it; nothing waits."""
        self.call.cancel()

    def _ended(self, how: StreamEnded) -> Exception:
        if how.status == OK:
            return StoreAway(f"etcd at {self._client.where} has ended the stream")
        return self._client.stream_error(how)

    # What the call says (runtime.grpc_wire.call.Listener)

    def on_message(self, message: bytes) -> None:
        try:
            self._answers.append(self._kind.FromString(message))
        except DecodeError:
            raise StreamEnded(INTERNAL, f"an answer that is no {self._kind.__name__}") from None
        if len(self._answers) >= UNREAD:
            self.call.stop_reading()
        self._some.set()

    def on_writable(self) -> None:
        """Questions are few and small."""

    def on_half_close(self) -> None:
        """A server's stream ends with a status."""

    def on_end(self, how: StreamEnded) -> None:
        self._over = how
        self._some.set()


async def open_stream(
    client: EtcdClient, method: Method, more: Headers | None = None
) -> EtcdStream[_Question, _Answer]:
    """A new stream of this method, with our token; what opens it leaves with the first question."""
    stream: EtcdStream[_Question, _Answer] = EtcdStream(client, method.response)
    stream.call = await client.stream(method, stream, more or [])
    return stream

"""One bidi stream to etcd, whose every way to end is an error of the store port."""

import asyncio
from typing import Any, Generic, TypeVar

import grpc.aio
from google.protobuf.message import Message

from registry.etcd.client import EtcdClient, Metadata, Method
from registry.store import StoreAway

_Question = TypeVar("_Question", bound=Message)
_Answer = TypeVar("_Answer", bound=Message)


class Stream(Generic[_Question, _Answer]):
    """Questions out, answers in. After any error but a cancelled wait it is of no more use: cancel it."""

    __slots__ = ("_call", "_client")

    def __init__(self, call: Any, client: EtcdClient) -> None:  # noqa: ANN401 - grpc types it by a stub
        self._call = call
        self._client = client

    async def write(self, question: _Question) -> None:
        """Send; StoreAway when the stream has ended."""
        try:
            await self._call.write(question)
        except asyncio.CancelledError:
            raise self._client.closed_under() from None
        except asyncio.InvalidStateError:
            raise StoreAway(f"etcd at {self._client.where} has ended the stream") from None
        except grpc.aio.AioRpcError as error:
            raise self._client.stream_error(error) from error

    async def read(self) -> _Answer:
        """The next answer; StoreAway when the stream has ended."""
        try:
            answer = await self._call.read()
        except asyncio.CancelledError:
            raise self._client.closed_under() from None
        except grpc.aio.AioRpcError as error:
            raise self._client.stream_error(error) from error
        if answer is grpc.aio.EOF:
            raise StoreAway(f"etcd at {self._client.where} has ended the stream")
        got: _Answer = answer
        return got

    def cancel(self) -> None:
        """End it; nothing waits."""
        self._call.cancel()


async def open_stream(client: EtcdClient, method: Method, metadata: Metadata = ()) -> Stream[_Question, _Answer]:
    """A new stream of this method, with our token. Connecting happens behind the first write."""
    return Stream(await client.stream(method, metadata), client)

"""Callers and rights over both transports: each call is made by the caller that its listener has authenticated."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import NamedTuple

import aiohttp
import grpc.aio
import pytest

from homing.v1 import router_pb2 as pb
from homing.v1 import router_pb2_grpc
from router.api.calls import Calls
from router.api.grpc_api import GrpcApi
from router.api.http_api import HttpApi
from router.api.settings import ApiSettings
from router.caller import Caller
from router.delivery.port import OnResult
from router.hop.fleet import Fleet
from router.push import CallRefused, CheckedPush
from router.push_handler import PushHandler
from tests.support.calls import push
from tests.support.table import TableFeed

CALLERS = {"pusher": Caller("pusher", frozenset({"push"})), "reader": Caller("reader", frozenset({"presence"}))}


class ImmediateDelivery:
    """Reports each push at once."""

    def start(self, push: CheckedPush, _received_ns: int, on_result: OnResult) -> None:
        on_result(pb.PushReport(push_id=push.push_id))

    async def close(self) -> None:
        """Nothing waits."""


def by_token(request: object) -> Caller:
    """The caller that a call's or a request's `authorization` names."""
    headers = request.headers if isinstance(request, aiohttp.web.Request) else None
    found = headers.get("authorization", "") if headers is not None else grpc_authorization(request)
    if found not in CALLERS:
        raise CallRefused("UNAUTHENTICATED", "no token", "authorization")
    return CALLERS[found]


def grpc_authorization(call: object) -> str:
    return dict(call.request_headers).get(b"authorization", b"").decode()  # type: ignore[attr-defined]


class Api(NamedTuple):
    """The calls of one transport: each returns gRPC's name of the status, "OK" if it was carried out."""

    push: Callable[[str], object]
    batch: Callable[[str], object]
    locate: Callable[[str], object]
    watch: Callable[[str], object]


def calls() -> Calls:
    feed = TableFeed()
    settings = ApiSettings()
    return Calls(settings, PushHandler(ImmediateDelivery(), settings.max_data), feed, Fleet(feed, None))  # no node


@pytest.fixture
async def over_grpc() -> AsyncIterator[Api]:
    api = GrpcApi(calls(), by_token)
    address = await api.listen("127.0.0.1", 0)
    async with grpc.aio.insecure_channel(address) as channel:
        stub = router_pb2_grpc.RouterStub(channel)

        async def code(call: object) -> str:
            try:
                await call  # type: ignore[misc]
            except grpc.aio.AioRpcError as error:
                return error.code().name
            return "OK"

        def token(name: str) -> tuple[tuple[str, str], ...]:
            return (("authorization", name),)

        async def batch(name: str) -> list[str] | str:
            stream = stub.PushStream(metadata=token(name))
            try:
                await stream.write(pb.PushStreamRequest(pushes=[push(user="ada", push_id=x) for x in "ab"]))
                await stream.done_writing()
                return [report.error.code or "OK" async for message in stream for report in message.reports]
            except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
                return (await stream.code()).name

        async def watch(name: str) -> str:
            stream = stub.Watch(pb.WatchRequest(user="ada"), metadata=token(name))
            return await code(stream.read())

        yield Api(
            lambda name: code(stub.Push(push(user="ada"), metadata=token(name))),
            batch,
            lambda name: code(stub.Locate(pb.LocateRequest(target=pb.Target(user="ada")), metadata=token(name))),
            watch,
        )
    await api.close(0)


@pytest.fixture
async def over_http() -> AsyncIterator[Api]:
    api = HttpApi(calls(), by_token)
    address = await api.listen("127.0.0.1", 0)
    async with aiohttp.ClientSession(f"http://{address}") as http:

        async def post(name: str, path: str, body: object) -> tuple[str, dict[str, object]]:
            async with http.post(f"/v1/{path}", json=body, headers={"authorization": name}) as response:
                return await read(response)

        async def read(response: aiohttp.ClientResponse) -> tuple[str, dict[str, object]]:
            if response.status == 200:
                return "OK", json.loads(await response.content.readline())
            answer = await response.json()
            assert response.status == {"PERMISSION_DENIED": 403, "UNAUTHENTICATED": 401}[answer["error"]["code"]]
            return answer["error"]["code"], answer

        item = {"target": {"user": "ada"}, "event": "e", "json": 1}

        async def batch(name: str) -> list[str] | str:
            code, answer = await post(name, "push:batch", {"pushes": [item, item]})
            if code != "OK":
                return code
            return [report["error"]["code"] if report.get("error") else "OK" for report in answer["reports"]]

        async def watch(name: str) -> str:
            async with http.get("/v1/watch?user=ada", headers={"authorization": name}) as response:
                return (await read(response))[0]

        async def first(call: object) -> str:
            return (await call)[0]  # type: ignore[misc]

        yield Api(
            lambda name: first(post(name, "push", item)),
            batch,
            lambda name: first(post(name, "locate", {"target": {"user": "ada"}})),
            watch,
        )
    await api.close()


async def test_a_caller_may_make_the_calls_that_its_rights_allow(over_grpc: Api, over_http: Api) -> None:
    for api in (over_grpc, over_http):
        assert await api.push("pusher") == "OK"
        assert await api.batch("pusher") == ["OK", "OK"]
        assert await api.locate("reader") == "OK"
        assert await api.watch("reader") == "OK"


async def test_other_calls_are_denied(over_grpc: Api, over_http: Api) -> None:
    for api in (over_grpc, over_http):
        assert await api.push("reader") == "PERMISSION_DENIED"
        assert await api.batch("reader") == ["PERMISSION_DENIED"] * 2
        assert await api.locate("pusher") == "PERMISSION_DENIED"
        assert await api.watch("pusher") == "PERMISSION_DENIED"


async def test_a_caller_that_is_not_authenticated_is_refused(over_grpc: Api, over_http: Api) -> None:
    for api in (over_grpc, over_http):
        for call in api:
            assert await call("nobody") == "UNAUTHENTICATED"

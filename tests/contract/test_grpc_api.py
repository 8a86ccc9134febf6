"""The gRPC API on real sockets, called by grpcio as a backend would: health, reflection, and how it stops."""

import asyncio
from collections.abc import AsyncIterator

import grpc.aio
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from homing.v1 import router_pb2 as pb
from homing.v1 import router_pb2_grpc
from router.api.calls import Calls
from router.api.grpc_api import SERVICE, GrpcApi
from router.api.settings import ApiSettings
from router.caller import LOOPBACK
from router.delivery.port import OnResult
from router.push import CheckedPush
from router.push_handler import PushHandler
from tests.support.calls import push
from tests.support.router import RouterRig

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
SERVING, NOT_SERVING = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING


class HeldDelivery:
    """Reports each push when `report` is called; `held` is what waits for that."""

    def __init__(self) -> None:
        self.held: list[tuple[CheckedPush, OnResult]] = []
        self.started = asyncio.Event()

    def start(self, push: CheckedPush, _received_ns: int, on_result: OnResult) -> None:
        self.held.append((push, on_result))
        self.started.set()

    async def close(self) -> None:
        """Nothing more waits."""

    def report(self) -> None:
        for waiting, on_result in self.held:
            on_result(pb.PushReport(push_id=waiting.push_id))
        self.held.clear()


class Api:
    """The API over a router's table and fleet, and grpcio's stubs."""

    def __init__(self, rig: RouterRig) -> None:
        self.rig = rig
        self.delivery = HeldDelivery()
        settings = ApiSettings()
        calls = Calls(settings, PushHandler(self.delivery, settings.max_data), rig.feed, rig.fleet)
        self.api = GrpcApi(calls, lambda _call: LOOPBACK)

    def use(self, channel: grpc.aio.Channel) -> None:
        self.router = router_pb2_grpc.RouterStub(channel)
        self.health = health_pb2_grpc.HealthStub(channel)
        self.reflection = reflection_pb2_grpc.ServerReflectionStub(channel)


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    async with RouterRig.running() as rig:
        made = Api(rig)
        address = await made.api.listen("127.0.0.1", 0)
        async with grpc.aio.insecure_channel(address) as channel:
            made.use(channel)
            yield made
        await made.api.close(0)


async def test_health_is_of_the_whole_router_and_of_its_service(api: Api) -> None:
    for service in ("", SERVICE):
        request = health_pb2.HealthCheckRequest(service=service)
        assert (await api.health.Check(request)).status == NOT_SERVING
    api.api.set_ready(True)
    assert (await api.health.Check(health_pb2.HealthCheckRequest(service=SERVICE))).status == SERVING
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await api.health.Check(health_pb2.HealthCheckRequest(service="no.Service"))
    assert refused.value.code() == grpc.StatusCode.NOT_FOUND


async def test_reflection_names_the_services_and_their_files(api: Api) -> None:
    questions = [
        reflection_pb2.ServerReflectionRequest(list_services=""),
        reflection_pb2.ServerReflectionRequest(file_containing_symbol=SERVICE),
    ]
    listed, files = [answer async for answer in api.reflection.ServerReflectionInfo(iter(questions))]
    assert SERVICE in [service.name for service in listed.list_services_response.service]
    assert pb.DESCRIPTOR.serialized_pb in files.file_descriptor_response.file_descriptor_proto


async def test_a_push_continues_the_trace_of_its_metadata(api: Api) -> None:
    calling = asyncio.ensure_future(api.router.Push(push(user="ada"), metadata=(("traceparent", TRACE),)))
    await api.delivery.started.wait()
    assert api.delivery.held[0][0].traceparent == TRACE
    api.delivery.report()
    assert (await calling).report.push_id


async def test_a_close_waits_for_calls_under_way_and_ends_watches_at_once(api: Api) -> None:
    watch = api.router.Watch(pb.WatchRequest(nodes=True))
    assert (await watch.read()).synced
    health = api.health.Watch(health_pb2.HealthCheckRequest())
    assert (await health.read()).status == NOT_SERVING
    stream = api.router.PushStream()
    await stream.write(pb.PushStreamRequest(pushes=[push(user="ada", push_id="mine")]))
    await api.delivery.started.wait()
    closing = asyncio.ensure_future(api.api.close(60))
    for ended in (watch, health):
        assert await ended.code() == grpc.StatusCode.UNAVAILABLE
    assert not closing.done()
    api.delivery.report()
    assert [report.push_id for report in (await stream.read()).reports] == ["mine"]
    assert await stream.code() == grpc.StatusCode.UNAVAILABLE
    async with asyncio.timeout(5):
        await closing


async def test_a_close_ends_what_is_left_after_its_grace(api: Api) -> None:
    calling = asyncio.ensure_future(api.router.Push(push(user="ada")))
    await api.delivery.started.wait()
    async with asyncio.timeout(5):
        await api.api.close(0.01)
    with pytest.raises(grpc.aio.AioRpcError) as ended:
        await calling
    assert ended.value.code() == grpc.StatusCode.UNAVAILABLE

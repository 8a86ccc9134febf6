"""The router's public API is plain gRPC, served by `runtime.grpc_wire`; grpcio is the caller, in each shape of call."""

import asyncio
from collections import Counter

import grpc
import grpc.aio
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from homing.v1 import router_pb2 as pb
from homing.v1 import router_pb2_grpc
from tests.support.calls import push
from tests.support.cluster import Cluster, connect

SERVING, NOT_SERVING = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING
KEPT_BACK = 3000  # calls at once, three times what one connection may have open


def channel_to(cluster: Cluster) -> grpc.aio.Channel:
    return grpc.aio.insecure_channel(cluster.routers[0].facts["grpc"])


async def test_thousands_of_calls_at_once_are_all_answered(three: Cluster) -> None:
    async with connect(three, three.gateways[1], "many") as client, channel_to(three) as channel:
        call = router_pb2_grpc.RouterStub(channel).Push

        async def receive_all() -> list[int]:  # meanwhile: what a client does not read is QUEUED
            return sorted([(await client.receive(15.0))["data"] for _ in range(KEPT_BACK)])

        receiving = asyncio.create_task(receive_all())
        reports = await asyncio.gather(*(call(push(user="many", data=b"%d" % n)) for n in range(KEPT_BACK)))
        assert Counter(name for one in reports for name in one.report.counts) == {"WRITTEN": KEPT_BACK}
        assert await receiving == list(range(KEPT_BACK))


async def test_a_deadline_ends_a_call_on_both_sides(three: Cluster) -> None:
    async with connect(three, three.gateways[0], "late"), channel_to(three) as channel:
        waits = push(user="late")
        waits.ack_timeout.FromSeconds(30)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await router_pb2_grpc.RouterStub(channel).Push(waits, timeout=0.2)
        assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        assert (await router_pb2_grpc.RouterStub(channel).Push(push(user="late"))).report.counts == {"WRITTEN": 1}


async def test_what_cannot_be_read_is_said_and_harms_nobody(three: Cluster) -> None:
    async with channel_to(three) as channel:

        async def status(path: str, body: bytes, **more: object) -> grpc.StatusCode:
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await channel.unary_unary(path)(body, **more)
            return caught.value.code()

        assert await status("/homing.v1.Router/Nothing", b"") is grpc.StatusCode.UNIMPLEMENTED
        assert await status("/homing.v1.Router/Push", b"\xff\xff") is grpc.StatusCode.INVALID_ARGUMENT
        gzip = {"compression": grpc.Compression.Gzip}
        assert await status("/homing.v1.Router/Push", b"x" * 1000, **gzip) is grpc.StatusCode.INVALID_ARGUMENT
        compressed = await router_pb2_grpc.RouterStub(channel).Push(push(user="nobody"), **gzip)
        assert compressed.report.counts == {"OFFLINE": 1}
        stream = channel.stream_stream("/homing.v1.Router/PushStream")(iter([b"\xff\xff"]))
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stream.read()
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert (await router_pb2_grpc.RouterStub(channel).Push(push(user="nobody"))).report.counts == {"OFFLINE": 1}


async def test_reflection_gives_the_descriptors_and_says_what_is_not_here(three: Cluster) -> None:
    questions = [
        reflection_pb2.ServerReflectionRequest(file_containing_symbol="homing.v1.Router"),
        reflection_pb2.ServerReflectionRequest(file_by_filename="homing/v1/router.proto"),
        reflection_pb2.ServerReflectionRequest(file_containing_symbol="no.such.Thing"),
    ]
    async with channel_to(three) as channel:
        stub = reflection_pb2_grpc.ServerReflectionStub(channel)
        symbol, file, absent = [answer async for answer in stub.ServerReflectionInfo(iter(questions))]
    described = b"".join(symbol.file_descriptor_response.file_descriptor_proto)
    assert b"homing/v1/router.proto" in described
    assert b"google/protobuf/duration.proto" in described  # what it needs comes along
    assert symbol.file_descriptor_response == file.file_descriptor_response
    assert absent.error_response.error_code == grpc.StatusCode.NOT_FOUND.value[0]


async def test_health_is_watched_until_the_router_stops_and_idle_streams_end_at_once(cluster: Cluster) -> None:
    await cluster.start_gateway()
    router = await cluster.start_router()
    async with channel_to(cluster) as channel:
        watching = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())
        pushing = router_pb2_grpc.RouterStub(channel).PushStream()
        await pushing.write(pb.PushStreamRequest(pushes=[push(user="nobody", push_id="p")]))
        assert (await pushing.read()).reports[0].push_id == "p"
        assert (await watching.read()).status == SERVING
        with pytest.raises(grpc.aio.AioRpcError) as unknown:
            await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(service="no.such"))
        assert unknown.value.code() is grpc.StatusCode.NOT_FOUND
        began = asyncio.get_running_loop().time()
        assert await router.stop() == 0
        assert asyncio.get_running_loop().time() - began < 3  # nobody waits for streams that say nothing
        assert (await watching.read()).status == NOT_SERVING
        for ended in (watching, pushing):
            assert await ended.code() is grpc.StatusCode.UNAVAILABLE
